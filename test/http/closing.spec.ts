import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from '@jest/globals';

it('an application that closes while a handler still runs, without a client, comes to the end of its close', async () => {
  const args = ['--disable-warning=ExperimentalWarning', '--import', './test/support/ts-hooks.mjs'];
  const { stdout } = await promisify(execFile)('node', [...args, 'test/http/support/closing-process.ts']);
  // Without anything that keeps it awake, node would leave in the middle with exit code 13.
  expect(stdout).toBe('closed\n');
});
