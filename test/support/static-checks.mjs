// Types, lint and format side by side: each of them uses one core alone. `node test/support/static-checks.mjs`
import { spawn } from 'node:child_process';

/** One after the other; the lanes at the same time. */
const LANES = [
  [['eslint', '.', '--max-warnings', '0']],
  [
    ['tsc', '--noEmit'],
    ['prettier', '--check', '.'],
  ],
];

/** What it says comes out at once when it has ended, so that the lanes do not mix. */
function run(command) {
  return new Promise((resolve, reject) => {
    const child = spawn('npx', ['--no-install', ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (said += text));
    }
    child.once('error', reject);
    child.once('close', (code) => {
      process.stdout.write(`> ${command.join(' ')}\n${said}`);
      resolve(code === 0);
    });
  });
}

const lanes = LANES.map(async (commands) => {
  let well = true;
  for (const command of commands) well = (await run(command)) && well;
  return well;
});
if (!(await Promise.all(lanes)).every(Boolean)) process.exitCode = 1;
