import { createCipheriv, createDecipheriv, createHmac, type KeyObject } from 'node:crypto';
import { FRAME } from './codec-frame.js';
import type { Codec, CodecContext } from './codec.js';
import { encryptionKeys, type EncryptionKey } from './encryption-keys.js';
import { InvalidOptionsError, RecordUnreadableError } from './errors.js';

/** Options of `encryptedCodec()`. */
export interface EncryptedOptions {
  /** The first encrypts; all of them decrypt. */
  readonly keys: readonly EncryptionKey[];
  /**
   * What becomes of records that are not encrypted: `'refuse'` them (500 `record-unreadable`), `'read'` them too, or
   * `'write'`: read them, and encrypt nothing yet. The latter two are the steps of a migration: whoever can write to the
   * storage can forge what is read so.
   *
   * @default 'refuse'
   */
  readonly plaintext?: 'refuse' | 'read' | 'write';
}

/** Makes that many bytes that nobody can guess. */
export type RandomBytes = (count: number) => Uint8Array;

/** Every default, once. The table in docs/codecs.md is held to it by a test. */
export const ENCRYPTED_DEFAULTS = { plaintext: 'refuse' } as const;

const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = 'aes-256-gcm';
const PURPOSE = 'nestjs-idempotent codec 1';
const FIRST_BLOCK = Buffer.from([1]);

/**
 * AES-256-GCM, bound to the record and to what of it is encrypted.
 *
 * Layout: frame, length of the key's id, id, salt (16), nonce (12), tag (16), ciphertext. Everything before the tag, the
 * record id and the part are authenticated with it.
 *
 * Every encryption has a key of its own, derived from the secret and a random salt: HKDF-SHA-256 without its extraction, which a
 * secret that is random already does not need (RFC 5869, section 3.3). One key with random nonces would be good for 2^32
 * encryptions (NIST SP 800-38D, section 8.3), which a busy app gets through in weeks; here salt and nonce, 224 random
 * bits, would have to meet again.
 */
export class EncryptedCodec implements Codec {
  readonly name = 'encrypted';
  /** Hidden from whatever prints objects. */
  readonly #secrets: ReadonlyMap<string, KeyObject>;
  private readonly first: string;
  private readonly plaintext: 'refuse' | 'read' | 'write';

  /** @throws InvalidOptionsError */
  constructor(
    options: EncryptedOptions,
    private readonly randomBytes: RandomBytes,
  ) {
    const { keys, plaintext = ENCRYPTED_DEFAULTS.plaintext } = (options as EncryptedOptions | undefined) ?? {
      keys: [],
    };
    this.#secrets = encryptionKeys(keys);
    [this.first = ''] = this.#secrets.keys();
    if (!['refuse', 'read', 'write'].includes(plaintext)) {
      throw new InvalidOptionsError("encryptedCodec: `plaintext` must be 'refuse', 'read' or 'write'.");
    }
    this.plaintext = plaintext;
  }

  encode(bytes: Uint8Array, context: CodecContext): Uint8Array {
    // What another codec has made may begin as our frame does, and would be taken for it.
    if (this.plaintext === 'write' && bytes[0] !== FRAME.sealed) return bytes;
    const head = Buffer.concat([
      Buffer.from([FRAME.sealed, this.first.length]),
      Buffer.from(this.first, 'latin1'),
      this.randomBytes(SALT_BYTES + NONCE_BYTES),
    ]);
    const cipher = createCipheriv(CIPHER, ...this.keyAndNonce(this.first, head), TAG);
    cipher.setAAD(authenticated(head, context));
    const body = Buffer.concat([cipher.update(bytes), cipher.final()]);
    return Buffer.concat([head, cipher.getAuthTag(), body]);
  }

  decode(bytes: Uint8Array, context: CodecContext): Uint8Array {
    if (bytes[0] !== FRAME.sealed) {
      if (this.plaintext !== 'refuse') return bytes;
      throw new RecordUnreadableError(
        'it is not encrypted, so anybody who can write to the storage could have made it (`plaintext` of encryptedCodec)',
      );
    }
    const sealed = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const idEnd = 2 + (sealed[1] ?? 0);
    const headEnd = idEnd + SALT_BYTES + NONCE_BYTES;
    if (sealed.length < headEnd + TAG_BYTES) throw new RecordUnreadableError('its encryption was cut short');
    const id = sealed.toString('latin1', 2, idEnd);
    const head = sealed.subarray(0, headEnd);
    const decipher = createDecipheriv(CIPHER, ...this.keyAndNonce(id, head), TAG);
    decipher.setAAD(authenticated(head, context));
    decipher.setAuthTag(sealed.subarray(headEnd, headEnd + TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(headEnd + TAG_BYTES)), decipher.final()]);
    } catch (cause) {
      throw new RecordUnreadableError(
        `key '${id}' does not open it: it was changed, moved here from another record or step, or encrypted with another secret under that id`,
        { cause },
      );
    }
  }

  private keyAndNonce(id: string, head: Buffer): [key: Buffer, nonce: Buffer] {
    const secret = this.#secrets.get(id);
    if (secret === undefined) throw new RecordUnreadableError(unknownKey(id));
    const salt = head.subarray(-SALT_BYTES - NONCE_BYTES, -NONCE_BYTES);
    // HKDF-Expand to one block: purpose and salt are its info.
    const key = createHmac('sha256', secret).update(PURPOSE).update(salt).update(FIRST_BLOCK).digest();
    return [key, head.subarray(-NONCE_BYTES)];
  }
}

const TAG = { authTagLength: TAG_BYTES } as const;

/** JSON, so that no separator inside an id or a name makes two places equal; the head's own length ends it. */
function authenticated(head: Buffer, { recordId, part }: CodecContext): Buffer {
  return Buffer.concat([head, Buffer.from(JSON.stringify([recordId, part]), 'utf8')]);
}

function unknownKey(id: string): string {
  // From the storage: only what an id may hold goes into a log.
  const name = /^[A-Za-z0-9._-]{1,64}$/.test(id) ? `'${id}'` : 'a malformed id';
  return `it is encrypted with key ${name}, which is not among \`keys\` of encryptedCodec`;
}
