import { StartError } from '../../../shared/src/start/start-error.js';

/** What `CRASH_AT` asks for. */
export type CrashPlan =
  | { readonly kind: 'none' }
  | { readonly kind: 'list' }
  /** `visit`: at the how-manieth time that the point is reached. */
  | { readonly kind: 'kill'; readonly point: string; readonly visit: number }
  /** A file says so later. */
  | { readonly kind: 'told'; readonly file: string };

/**
 * - `CRASH_AT=list`: print the points and end.
 * - `CRASH_AT=OrdersRepository.insert:after`: be killed there, the first time that it is reached.
 * - `CRASH_AT=storage.claim:before#2`: there, the second time. One request claims once, so this is in the second one.
 * - `CRASH_AT=@/tmp/orders/plan`: where that file says, whenever it says something new: `7 storage.claim:before#2`, a number
 *   that is another one each time, and then the point, or nothing.
 */
export function readCrashPlan(value: string | undefined): CrashPlan {
  const asked = value?.trim();
  if (!asked) return { kind: 'none' };
  if (asked === 'list') return { kind: 'list' };
  if (asked.startsWith('@')) return { kind: 'told', file: asked.slice(1) };
  const [, point = asked, visit = '1'] = /^(.+)#([1-9]\d*)$/.exec(asked) ?? [];
  return { kind: 'kill', point, visit: Number(visit) };
}

/** @throws StartError when no such point is known: an app that silently never dies would prove nothing */
export function checkCrashPlan(plan: CrashPlan, known: readonly string[]): void {
  if (plan.kind !== 'kill' || known.includes(plan.point)) return;
  throw new StartError(
    `CRASH_AT is '${plan.point}', and the app has no such point, so it would never crash. It is 'list', or one of ` +
      `these (storage.claim:before#2 is the second time that a point is reached): ${known.join(', ')}.`,
  );
}
