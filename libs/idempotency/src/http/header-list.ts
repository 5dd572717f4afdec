import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import { belongsToExchange } from './replayable-headers.js';
import type { HeaderList, HeaderValue, RecordedResponse } from './recorded-response.js';

/** Headers as they go out: whatever was set becomes text there, so it is text in the record. */
export function headerList(entries: Iterable<readonly [name: string, value: unknown]>): HeaderList {
  const list: [string, HeaderValue][] = [];
  for (const [name, value] of entries) if (value !== undefined) list.push([name, asSent(value)]);
  return list;
}

function asSent(value: unknown): HeaderValue {
  if (Array.isArray(value)) return value.map(String);
  return typeof value === 'number' ? value : String(value);
}

/** What `writeHead` takes: an object, a flat array, or an array of pairs. Values of one name come together. */
export function writtenHeaders(headers: unknown): HeaderList {
  if (typeof headers !== 'object' || headers === null) return [];
  const asGiven: unknown = headers;
  if (!Array.isArray(asGiven)) return headerList(Object.entries(headers));
  const list: unknown[] = asGiven;
  const pairs = Array.isArray(list[0])
    ? (list as [string, unknown][])
    : list.flatMap((name, index) => (index % 2 === 0 ? [[String(name), list[index + 1]] as const] : []));
  const byName = new Map<string, { name: string; values: unknown[] }>();
  for (const [name, value] of pairs) {
    const entry = byName.get(name.toLowerCase()) ?? { name, values: [] };
    byName.set(name.toLowerCase(), entry);
    entry.values.push(value);
  }
  return headerList(
    [...byName.values()].map(({ name, values: [first, ...more] }) => [
      name,
      more.length === 0 ? first : [first, ...more].flat(),
    ]),
  );
}

/** The reason phrase, if it is not the one that node sends anyway. */
export function ownReason(status: number, reason: string | undefined): string | undefined {
  return reason === undefined || reason === '' || reason === STATUS_CODES[status] ? undefined : reason;
}

/** @throws TypeError as node does when it is about to send them */
export function checkHeaders(headers: HeaderList): void {
  for (const [name, value] of headers) {
    validateHeaderName(name);
    for (const item of Array.isArray(value) ? value : [value]) validateHeaderValue(name, String(item));
  }
}

/** Names of `atStart` that are not among `present` any more. */
export function removedHeaders(atStart: ReadonlySet<string>, present: readonly string[]): string[] {
  const left = new Set(present.map((name) => name.toLowerCase()));
  return [...atStart].filter((name) => !left.has(name) && !belongsToExchange(name));
}

/**
 * Which headers of an answer that is thrown away have to go. Those of the exchange stay, and those that were there
 * before the answer, unless the recorded response has its own, has taken them away, or they describe a body.
 */
export function discardedHeaders(
  present: readonly string[],
  atStart: ReadonlySet<string>,
  { headers, removed = [] }: RecordedResponse,
): string[] {
  const gone = new Set([...headers.map(([name]) => name), ...removed].map((name) => name.toLowerCase()));
  return present.filter((name) => {
    const lower = name.toLowerCase();
    return !belongsToExchange(lower) && (!atStart.has(lower) || gone.has(lower) || isOfBody(lower));
  });
}

function isOfBody(name: string): boolean {
  return name.startsWith('content-') || name === 'etag' || name === 'last-modified' || name === 'location';
}
