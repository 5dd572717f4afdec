import { RecordUnreadableError } from '../core/errors.js';
import type { Steps } from '../core/idempotency-storage.js';

/**
 * The steps of a record are a log of entries, one behind the other: length of the name and of the value (4 bytes
 * each, big-endian), name in UTF-8, value. A name that comes again replaces the value and keeps its place.
 *
 * The server only ever appends, so saving a step is one statement that reads nothing first, on any database; and the
 * steps that a claim found are the log up to the length that it had then.
 */
const HEADER_BYTES = 8;

export function stepEntry(name: string, value: Uint8Array): Buffer {
  const nameBytes = Buffer.from(name, 'utf8');
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(nameBytes.length, 0);
  header.writeUInt32BE(value.length, 4);
  return Buffer.concat([header, nameBytes, value]);
}

/** @throws RecordUnreadableError when the bytes are not such a log */
export function readSteps(log: Uint8Array | null): Steps {
  const steps = new Map<string, Uint8Array>();
  if (log === null) return steps;
  const bytes = Buffer.from(log.buffer, log.byteOffset, log.byteLength);
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for (let at = 0; at < bytes.length;) {
    const nameAt = at + HEADER_BYTES;
    if (nameAt > bytes.length) throw unreadable();
    const valueAt = nameAt + bytes.readUInt32BE(at);
    const end = valueAt + bytes.readUInt32BE(at + 4);
    if (end > bytes.length) throw unreadable();
    let name: string;
    try {
      name = utf8.decode(bytes.subarray(nameAt, valueAt));
    } catch (cause) {
      throw unreadable(cause);
    }
    steps.set(name, new Uint8Array(bytes.subarray(valueAt, end)));
    at = end;
  }
  return steps;
}

function unreadable(cause?: unknown): RecordUnreadableError {
  return new RecordUnreadableError('its steps are damaged', { cause });
}
