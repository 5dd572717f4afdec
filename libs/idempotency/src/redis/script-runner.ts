import type { RedisArgument, RedisCommand } from './redis-client.js';
import { messageOf } from './redis-errors.js';
import type { RedisScript } from './scripts/index.js';

export type SendCommand = (command: RedisCommand) => Promise<unknown>;

/**
 * Runs a script on one key by its hash. Redis forgets scripts (a restart, a failover, SCRIPT FLUSH): then the text is
 * sent once, and is known again.
 */
export function runScript(
  send: SendCommand,
  script: RedisScript,
  key: string,
  args: readonly RedisArgument[],
): Promise<unknown> {
  return send(['EVALSHA', script.sha1, '1', key, ...args]).catch((error: unknown) => {
    if (!messageOf(error).startsWith('NOSCRIPT')) throw error;
    return send(['EVAL', script.source, '1', key, ...args]);
  });
}
