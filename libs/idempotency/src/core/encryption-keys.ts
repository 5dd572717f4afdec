import { createSecretKey, type KeyObject } from 'node:crypto';
import { InvalidOptionsError } from './errors.js';

/** A key of `encryptedCodec()`, for AES-256-GCM. */
export interface EncryptionKey {
  /** 1 to 64 letters, digits, dots, dashes or underscores. It is stored, readable, with everything the key encrypts. */
  readonly id: string;
  /** 32 bytes: as bytes, or as base64 or hex text. `openssl rand -base64 32` makes one. */
  readonly secret: Uint8Array | string;
}

/** The keys by id, in their order, copied into objects that do not print what they hold. Messages never hold any part of a secret. @throws InvalidOptionsError */
export function encryptionKeys(keys: unknown): ReadonlyMap<string, KeyObject> {
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new InvalidOptionsError(
      "encryptedCodec: `keys` must be a list of at least one key, such as `[{ id: '2026-11', secret }]`. The first encrypts; all of them decrypt.",
    );
  }
  const byId = new Map<string, KeyObject>();
  for (const [at, key] of (keys as readonly unknown[]).entries()) {
    const { id, secret } = (key ?? {}) as Partial<Record<keyof EncryptionKey, unknown>>;
    if (typeof id !== 'string' || !/^[A-Za-z0-9._-]{1,64}$/.test(id)) {
      throw new InvalidOptionsError(
        `encryptedCodec: \`keys[${at}].id\` must be 1 to 64 letters, digits, dots, dashes or underscores: it is stored with what the key encrypts, and names the key in logs.`,
      );
    }
    if (byId.has(id)) {
      throw new InvalidOptionsError(
        `encryptedCodec: two keys have the id '${id}', so nobody could tell which of them has encrypted a record. A new secret needs a new id.`,
      );
    }
    byId.set(id, createSecretKey(secretBytes(id, secret)));
  }
  return byId;
}

function secretBytes(id: string, secret: unknown): Uint8Array {
  const bytes = secret instanceof Uint8Array ? secret : textBytes(secret);
  if (bytes?.length === 32) return bytes;
  const given =
    secret instanceof Uint8Array
      ? `of ${secret.length} bytes`
      : typeof secret === 'string'
        ? 'a text that is not 32 bytes in base64 or hex'
        : `of type ${typeof secret}`;
  throw new InvalidOptionsError(
    `encryptedCodec: the secret of key '${id}' is ${given}. AES-256 needs exactly 32 random bytes: as a Buffer, or as base64 or hex text. Make one with \`openssl rand -base64 32\`.`,
  );
}

/** Told by its length: 32 bytes are 64 digits of hex, and 43 characters of base64 without padding. */
function textBytes(secret: unknown): Uint8Array | undefined {
  if (typeof secret !== 'string') return undefined;
  const text = secret.trim();
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return Buffer.from(text, 'base64');
  return undefined;
}
