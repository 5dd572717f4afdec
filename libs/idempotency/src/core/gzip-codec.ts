import { promisify } from 'node:util';
import { gunzip, gunzipSync, gzip, gzipSync } from 'node:zlib';
import { FRAME } from './codec-frame.js';
import type { Codec } from './codec.js';
import { InvalidOptionsError, RecordUnreadableError } from './errors.js';

/** Options of `gzipCodec()`. */
export interface GzipOptions {
  /**
   * Fewer bytes than this are stored as they are; so is what does not shrink. `Infinity` compresses nothing and still
   * reads what was compressed.
   *
   * @default 1024
   */
  readonly threshold?: number;
  /** 1 (fast) to 9 (small). @default 6 */
  readonly level?: number;
  /**
   * Most bytes that are compressed, and that decompression may yield: stored bytes cannot fill the memory of the process.
   *
   * @default 67_108_864 (64 MiB)
   */
  readonly maxBytes?: number;
}

/** Every default, once. The table in docs/codecs.md is held to it by a test. */
export const GZIP_DEFAULTS = { threshold: 1024, level: 6, maxBytes: 67_108_864 } as const;
const HEAD_BYTES = 5;
/** Up to here a call costs less than its way through the thread pool, and holds the event loop for well under 1 ms. */
const SYNCHRONOUS_BYTES = 16 * 1024;

const zip = promisify<Uint8Array, { level: number }, Buffer>(gzip);
const unzip = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(gunzip);

/** Compresses what is stored. Equal bytes give equal bytes (gzip's time is left out). */
export class GzipCodec implements Codec {
  readonly name = 'gzip';
  private readonly threshold: number;
  private readonly level: number;
  private readonly maxBytes: number;

  /** @throws InvalidOptionsError */
  constructor(options: GzipOptions = {}) {
    this.threshold = options.threshold ?? GZIP_DEFAULTS.threshold;
    this.level = options.level ?? GZIP_DEFAULTS.level;
    this.maxBytes = options.maxBytes ?? GZIP_DEFAULTS.maxBytes;
    const isBytes = (value: unknown, least: number) =>
      Number.isSafeInteger(value) && (value as number) >= least;
    check(
      'threshold',
      this.threshold,
      this.threshold === Infinity || isBytes(this.threshold, 0),
      'a whole number of bytes, 0 or more, or Infinity',
    );
    check(
      'level',
      this.level,
      [1, 2, 3, 4, 5, 6, 7, 8, 9].includes(this.level),
      'a whole number from 1 to 9',
    );
    check('maxBytes', this.maxBytes, isBytes(this.maxBytes, 1), 'a whole number of bytes, 1 or more');
  }

  encode(bytes: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const { level, threshold, maxBytes } = this;
    if (bytes.length < threshold || bytes.length > maxBytes) return asTheyAre(bytes);
    const finish = (zipped: Uint8Array) =>
      HEAD_BYTES + zipped.length < bytes.length ? framed(zipped, bytes.length) : asTheyAre(bytes);
    if (bytes.length > SYNCHRONOUS_BYTES) return zip(bytes, { level }).then(finish);
    return finish(gzipSync(bytes, { level }));
  }

  decode(bytes: Uint8Array): Uint8Array | Promise<Uint8Array> {
    if (bytes[0] === FRAME.asTheyAre) return bytes.subarray(1);
    if (bytes[0] !== FRAME.gzipped) return bytes; // written as it is, by this codec or before there was one
    if (bytes.length < HEAD_BYTES) throw new RecordUnreadableError('its gzip frame was cut short');
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
    if (length === 0 || length > this.maxBytes) {
      throw new RecordUnreadableError(
        `its gzip frame promises ${length} bytes, and \`maxBytes\` of gzipCodec allows 1 to ${this.maxBytes}`,
      );
    }
    const zipped = bytes.subarray(HEAD_BYTES);
    const options = { maxOutputLength: length };
    const finish = (plain: Uint8Array): Uint8Array => {
      if (plain.length === length) return plain;
      throw new RecordUnreadableError(`its gzip frame promises ${length} bytes and holds ${plain.length}`);
    };
    if (length > SYNCHRONOUS_BYTES) return unzip(zipped, options).catch(refuse).then(finish);
    let plain: Uint8Array;
    try {
      plain = gunzipSync(zipped, options);
    } catch (error) {
      refuse(error);
    }
    return finish(plain);
  }
}

function framed(zipped: Uint8Array, length: number): Uint8Array {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + zipped.length);
  frame[0] = FRAME.gzipped;
  frame.writeUInt32BE(length, 1);
  frame.set(zipped, HEAD_BYTES);
  return frame;
}

function asTheyAre(bytes: Uint8Array): Uint8Array {
  const looksFramed = bytes[0] === FRAME.asTheyAre || bytes[0] === FRAME.gzipped;
  return looksFramed ? Buffer.concat([Buffer.from([FRAME.asTheyAre]), bytes]) : bytes;
}

function refuse(cause: unknown): never {
  throw new RecordUnreadableError('what gzipCodec compressed was cut short or changed', { cause });
}

function check(option: string, value: unknown, holds: boolean, must: string): void {
  if (holds) return;
  const shown = typeof value === 'number' ? String(value) : `of type ${typeof value}`;
  throw new InvalidOptionsError(`gzipCodec: \`${option}\` is ${shown}; it must be ${must}.`);
}
