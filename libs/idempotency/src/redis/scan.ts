import type { SendCommand } from './script-runner.js';

/** Keys that Redis looks at in one step. */
const COUNT = '500';

/**
 * The keys of a server that start with `prefix`, in batches; each key once, although SCAN may find it again.
 *
 * @param seen keys that were found before, on this server or on another
 */
export async function* keysWithPrefix(
  send: SendCommand,
  prefix: string,
  seen = new Set<string>(),
): AsyncIterable<readonly string[]> {
  const pattern = `${escapeGlob(prefix)}*`;
  let cursor = '0';
  do {
    const [next, found] = (await send(['SCAN', cursor, 'MATCH', pattern, 'COUNT', COUNT])) as [
      unknown,
      unknown[],
    ];
    const keys = [...new Set(found.map(String))].filter((key) => !seen.has(key));
    for (const key of keys) seen.add(key);
    if (keys.length > 0) yield keys;
    cursor = String(next);
  } while (cursor !== '0');
}

/** Takes their meaning from the wildcards of Redis patterns. */
export function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&');
}
