import { StartError } from '../../shared/src/start/start-error.js';
import { Cleanups } from '../../shared/src/start/cleanups.js';
import { crashPointsWereListed } from './crash/list-crash-points.js';
import { start } from './startup/start.js';
import { StopSignals, StoppedEarly } from '../../shared/src/start/stop-signals.js';

const signals = new StopSignals((signal) => {
  console.error(`Stopped at once by a second ${signal}. What was running is lost; the next start cleans up.`);
  process.exit(130);
});
const cleanups = new Cleanups();

try {
  if (await crashPointsWereListed(() => import('./startup/create-app.js'))) process.exit(0);
  await start(process.env, cleanups, signals);
  await signals.first;
  console.log('Stopping: requests that are running may finish. Ctrl-C again stops at once.');
} catch (error) {
  if (!(error instanceof StoppedEarly)) {
    console.error(isForPeople(error) ? `Cannot start: ${error.message}` : error);
    process.exitCode = 1;
  }
}

for (const failure of await cleanups.run()) {
  console.error(failure);
  process.exitCode = 1;
}
process.exit();

/** The library's boot errors, too, are sentences that say what to do. */
function isForPeople(error: unknown): error is Error {
  const { code } = error as { code?: unknown };
  return error instanceof StartError || code === 'storage-unavailable' || code === 'invalid-options';
}
