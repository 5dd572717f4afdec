import { RecordUnreadableError } from './errors.js';

/** A value as bytes, or `undefined` when it would not come back from JSON as it was (classes, Dates, functions, cycles). */
export function encodeValue(value: unknown): Uint8Array | undefined {
  if (value === undefined) return new Uint8Array(0);
  try {
    return isPlain(value, 0) ? Buffer.from(JSON.stringify(value), 'utf8') : undefined;
  } catch {
    return undefined; // a getter or a proxy that throws is not plain
  }
}

/** @throws RecordUnreadableError when the bytes are not what `encodeValue` writes */
export function decodeValue(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
    ) as unknown;
  } catch (cause) {
    throw new RecordUnreadableError('its value is not JSON', { cause });
  }
}

/** Deeper values, cycles among them, are not plain. */
const MAX_DEPTH = 200;

function isPlain(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value !== 'object' || depth > MAX_DEPTH) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) if (!isPlain(value[index], depth + 1)) return false;
    return true;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  if (Object.getOwnPropertySymbols(value).length > 0) return false;
  // A member that is undefined is dropped by JSON, and by every reply that is JSON.
  return Object.entries(value).every(
    ([key, member]) => key !== '__proto__' && (member === undefined || isPlain(member, depth + 1)),
  );
}
