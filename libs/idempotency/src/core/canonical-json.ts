/**
 * JSON with sorted object keys, so that `{a,b}` and `{b,a}` are the same text (after RFC 8785; numbers and strings are
 * written by `JSON.stringify`, which is what the RFC asks for). Values of other types are written by their `toJSON`, as
 * `JSON.stringify` would; `undefined` members are left out. What JSON would drop or flatten (`bigint`, bytes, maps, sets)
 * gets a form that no JSON text has.
 */
export function canonicalJson(value: unknown): string {
  return write(value, 0) ?? 'null';
}

/** A body nested deeper than this is somebody's attack on the stack, and no parser limit is set by default. */
const MAX_DEPTH = 500;

/** The value is nested too deeply to be compared. */
export class TooDeepError extends Error {}

function write(value: unknown, depth: number): string | undefined {
  if (depth > MAX_DEPTH) throw new TooDeepError(`nested deeper than ${MAX_DEPTH} levels`);
  if (value === null) return 'null';
  if (typeof value === 'bigint') return `bigint(${value})`;
  if (typeof value !== 'object') return JSON.stringify(value);
  if (value instanceof Uint8Array) return `bytes(${Buffer.from(value).toString('base64')})`;
  const withToJson = value as { toJSON?: () => unknown };
  if (typeof withToJson.toJSON === 'function') return write(withToJson.toJSON(), depth + 1);
  if (Array.isArray(value)) {
    return `[${Array.from(value, (item) => write(item, depth + 1) ?? 'null').join(',')}]`;
  }
  if (Symbol.iterator in value) return `items(${write([...(value as Iterable<unknown>)], depth + 1)})`;
  const members: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const text = write((value as Record<string, unknown>)[key], depth + 1);
    if (text !== undefined) members.push(`${JSON.stringify(key)}:${text}`);
  }
  return `{${members.join(',')}}`;
}
