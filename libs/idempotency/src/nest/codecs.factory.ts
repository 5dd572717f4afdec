import { randomBytes } from 'node:crypto';
import type { Codec } from '../core/codec.js';
import { EncryptedCodec, type EncryptedOptions } from '../core/encrypted-codec.js';
import { GzipCodec, type GzipOptions } from '../core/gzip-codec.js';

/** `codec: gzipCodec()`: compresses what is stored from 1 KiB on. Before `encryptedCodec`, never after it. */
export function gzipCodec(options: GzipOptions = {}): Codec {
  return new GzipCodec(options);
}

/** `codec: encryptedCodec({ keys })`: AES-256-GCM, bound to the record. The first key encrypts, all of them decrypt. */
export function encryptedCodec(options: EncryptedOptions): Codec {
  return new EncryptedCodec(options, randomBytes);
}
