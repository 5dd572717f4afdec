import { checkCrashPlan } from './crash-plan.js';
import { crashPlan, knownCrashPoints } from './crash-points.js';

/**
 * What `CRASH_AT` asks for before a start: `list` is printed, and answered with `true`; a point that does not exist is
 * refused. Without `CRASH_AT` nothing is loaded.
 *
 * @param load the modules of the app: points are known when their classes are loaded
 * @throws StartError for a point that nobody knows
 */
export async function crashPointsWereListed(load: () => Promise<unknown>): Promise<boolean> {
  if (crashPlan.kind === 'none') return false;
  await load();
  checkCrashPlan(crashPlan, knownCrashPoints());
  if (crashPlan.kind === 'list') console.log(knownCrashPoints().join('\n'));
  return crashPlan.kind === 'list';
}
