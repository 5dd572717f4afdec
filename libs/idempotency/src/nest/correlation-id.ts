import { systemRandomness } from './system-ports.js';

/** W3C Trace Context, section 3.2: version, trace id, id of the parent, flags. Later versions may add to it. */
const TRACE_PARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/;

/** What may stand in logs and headers: 1 to 128 bytes of printable ASCII without spaces. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/**
 * What ties together everything that comes of one request: the trace id of `traceparent`, else `x-request-id`, else a new
 * UUID. A header that is malformed, or sent twice, counts as not sent.
 *
 * @param headers names and values in turn
 * @param carried what the message says beside its headers, which comes after them
 */
export function correlationIdFrom(headers: readonly string[], carried?: unknown): string {
  const trace = TRACE_PARENT.exec(only(headers, 'traceparent') ?? '')?.[1];
  return (
    trace ?? correlationIdOf(only(headers, 'x-request-id')) ?? correlationIdOf(carried) ?? newCorrelationId()
  );
}

/** One that was given by hand; undefined for what cannot be one. */
export function correlationIdOf(given: unknown): string | undefined {
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : undefined;
}

export function newCorrelationId(): string {
  return systemRandomness.uuid();
}

function only(headers: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    if (headers[at]?.toLowerCase() !== name) continue;
    if (found !== undefined) return undefined;
    found = headers[at + 1];
  }
  return found?.trim();
}
