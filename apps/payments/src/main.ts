import { Cleanups } from '../../shared/src/start/cleanups.js';
import { StartError } from '../../shared/src/start/start-error.js';
import { StopSignals } from '../../shared/src/start/stop-signals.js';
import { start } from './start.js';

const signals = new StopSignals((signal) => {
  console.error(`Stopped at once by a second ${signal}. The ledger holds what was confirmed.`);
  process.exit(130);
});
const cleanups = new Cleanups();

try {
  await start(process.env, cleanups);
  await signals.first;
} catch (error) {
  console.error(error instanceof StartError ? `Cannot start: ${error.message}` : error);
  process.exitCode = 1;
}

for (const failure of await cleanups.run()) {
  console.error(failure);
  process.exitCode = 1;
}
process.exit();
