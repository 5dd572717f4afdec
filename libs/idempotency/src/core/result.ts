import { isFramed } from './codec-frame.js';
import { RecordUnreadableError } from './errors.js';

/** What a completed record holds, as bytes that no storage needs to understand. */
export interface StoredResult {
  /** What kind of outcome it is; each kind's owner reads `meta` and `body`. */
  readonly kind: ResultKind;
  readonly meta: Readonly<Record<string, unknown>>;
  readonly body: Uint8Array;
}

/** `response`: recorded response (HTTP). `value`: recorded result elsewhere. `bodyless`: it happened; what was answered is not kept. */
export type ResultKind = 'response' | 'value' | 'bodyless';

const KINDS: readonly string[] = ['response', 'value', 'bodyless'] satisfies ResultKind[];
const MAGIC = 0x69; // 'i'
const VERSION = 1;
const HEAD_BYTES = 10;

/** Layout: magic, version, length of the JSON head and of the body (4 bytes each, big endian), head, body. */
export function encodeResult(result: StoredResult): Uint8Array {
  const head = Buffer.from(JSON.stringify({ kind: result.kind, meta: result.meta }), 'utf8');
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + head.length + result.body.length);
  bytes[0] = MAGIC;
  bytes[1] = VERSION;
  bytes.writeUInt32BE(head.length, 2);
  bytes.writeUInt32BE(result.body.length, 6);
  bytes.set(head, HEAD_BYTES);
  bytes.set(result.body, HEAD_BYTES + head.length);
  return bytes;
}

/** @throws RecordUnreadableError when the bytes are not what `encodeResult` writes */
export function decodeResult(bytes: Uint8Array): StoredResult {
  if (!(bytes instanceof Uint8Array)) throw new RecordUnreadableError('its result is no bytes');
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < HEAD_BYTES || buffer[0] !== MAGIC) {
    throw new RecordUnreadableError(
      isFramed(buffer)
        ? 'its result was written with a `codec` that this operation does not have'
        : 'its result is not one of ours',
    );
  }
  if (buffer[1] !== VERSION)
    throw new RecordUnreadableError(`its result has layout ${buffer[1]}, this version reads ${VERSION}`);
  const headLength = buffer.readUInt32BE(2);
  if (buffer.length !== HEAD_BYTES + headLength + buffer.readUInt32BE(6)) {
    throw new RecordUnreadableError('its result was cut short or added to');
  }
  const { kind, meta } = parseHead(buffer.subarray(HEAD_BYTES, HEAD_BYTES + headLength));
  if (typeof kind !== 'string' || !KINDS.includes(kind))
    throw new RecordUnreadableError('its result is of an unknown kind');
  if (!isObject(meta)) throw new RecordUnreadableError('the head of its result is incomplete');
  return { kind: kind as ResultKind, meta, body: buffer.subarray(HEAD_BYTES + headLength) };
}

function parseHead(bytes: Buffer): Record<string, unknown> {
  try {
    const head: unknown = JSON.parse(bytes.toString('utf8'));
    if (isObject(head)) return head;
  } catch (cause) {
    throw new RecordUnreadableError('the head of its result is not JSON', { cause });
  }
  throw new RecordUnreadableError('the head of its result is not an object');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
