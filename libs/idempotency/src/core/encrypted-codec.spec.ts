import { describe, expect, it } from '@jest/globals';
import { createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { RESULT_PART, stepPart } from './codec.js';
import { EncryptedCodec } from './encrypted-codec.js';
import { InvalidOptionsError, RecordUnreadableError } from './errors.js';
import { encodeResult } from './result.js';

const secret = Buffer.alloc(32, 7);
const keys = [{ id: 'k1', secret }];
const here = { recordId: 'shop|POST /orders|abc', part: RESULT_PART };
const codec = new EncryptedCodec({ keys }, randomBytes);
const plain = encodeResult({ kind: 'value', meta: { status: 201 }, body: Buffer.from('{"card":"4242"}') });

function reasonOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(RecordUnreadableError);
    return (error as Error).message;
  }
  throw new Error('It was read.');
}

describe('EncryptedCodec', () => {
  it.each([0, 1, 15, 16, 17, 100_000])('gives back %i bytes as they were', (size) => {
    const bytes = randomBytes(size);
    expect(codec.decode(codec.encode(bytes, here), here)).toEqual(bytes);
  });

  it('refuses a record of which any single bit was turned', () => {
    const sealed = Buffer.from(codec.encode(plain, here));
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const turned = Buffer.from(sealed);
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      reasonOf(() => codec.decode(turned, here));
    }
  });

  it('refuses a record that was cut short or added to, at any length', () => {
    const sealed = Buffer.from(codec.encode(plain, here));
    for (let length = 0; length < sealed.length; length += 1) {
      reasonOf(() => codec.decode(sealed.subarray(0, length), here));
    }
    reasonOf(() => codec.decode(Buffer.concat([sealed, Buffer.alloc(1)]), here));
  });

  it.each([
    ['another record', { ...here, recordId: 'shop|POST /orders|abd' }],
    ['a step', { ...here, part: stepPart('charge') }],
    ['a step of the same name as a result', { ...here, part: stepPart(RESULT_PART) }],
    [
      'an id and a part whose letters join to the same text',
      { recordId: 'shop|POST /orders|abcr', part: 'esult' },
    ],
  ])('refuses what was moved to %s', (_where, there) => {
    const sealed = codec.encode(plain, here);
    expect(reasonOf(() => codec.decode(sealed, there))).toContain("key 'k1' does not open it");
  });

  it('refuses a step that was moved to another step', () => {
    const sealed = codec.encode(plain, { ...here, part: stepPart('charge') });
    reasonOf(() => codec.decode(sealed, { ...here, part: stepPart('refund') }));
  });

  it('holds nothing of the plain bytes, and never encrypts to the same bytes twice', () => {
    const sealed = Buffer.from(codec.encode(plain, here));
    expect(sealed.includes('4242')).toBe(false);
    expect(sealed.includes('value')).toBe(false);
    expect(codec.encode(plain, here)).not.toEqual(sealed);
    // frame, length, 'k1', salt, nonce, tag
    expect(sealed.length - plain.length).toBe(1 + 1 + 2 + 16 + 12 + 16);
  });

  it('can be opened by its documented layout alone', () => {
    const sealed = Buffer.from(codec.encode(plain, here));
    const [head, tag, body] = [sealed.subarray(0, 32), sealed.subarray(32, 48), sealed.subarray(48)];
    const info = Buffer.concat([Buffer.from('nestjs-idempotent codec 1'), head.subarray(4, 20)]);
    const key = createHmac('sha256', secret)
      .update(info)
      .update(Buffer.from([1]))
      .digest();
    const decipher = createDecipheriv('aes-256-gcm', key, head.subarray(20));
    decipher.setAAD(Buffer.concat([head, Buffer.from(JSON.stringify([here.recordId, here.part]))]));
    decipher.setAuthTag(tag);
    expect(Buffer.concat([decipher.update(body), decipher.final()])).toEqual(plain);
  });

  it('encrypts each time with another key and another nonce', () => {
    const salts = Array.from({ length: 1000 }, () =>
      Buffer.from(codec.encode(plain, here)).toString('hex', 4, 32),
    );
    expect(new Set(salts.map((salt) => salt.slice(0, 32))).size).toBe(1000);
    expect(new Set(salts.map((salt) => salt.slice(32))).size).toBe(1000);
  });
});

describe('keys of EncryptedCodec', () => {
  const newer = { id: 'k2', secret: Buffer.alloc(32, 8) };

  it('are rotated: the first encrypts, all of them decrypt', () => {
    const rotated = new EncryptedCodec({ keys: [newer, ...keys] }, randomBytes);
    expect(rotated.decode(codec.encode(plain, here), here)).toEqual(plain);
    const sealed = rotated.encode(plain, here);
    expect(Buffer.from(sealed).toString('latin1', 2, 4)).toBe('k2');
    expect(new EncryptedCodec({ keys: [...keys, newer] }, randomBytes).decode(sealed, here)).toEqual(plain);
  });

  it('are named when one is missing, and when one has another secret', () => {
    const sealed = codec.encode(plain, here);
    const without = new EncryptedCodec({ keys: [newer] }, randomBytes);
    expect(reasonOf(() => without.decode(sealed, here))).toContain(
      "encrypted with key 'k1', which is not among `keys`",
    );
    const other = new EncryptedCodec({ keys: [{ ...newer, id: 'k1' }] }, randomBytes);
    expect(reasonOf(() => other.decode(sealed, here))).toContain("key 'k1' does not open it");
  });

  it('are not named by what somebody else wrote in the place of an id', () => {
    const sealed = Buffer.from(codec.encode(plain, here));
    sealed.write('\n\u0007', 2, 'latin1');
    expect(reasonOf(() => codec.decode(sealed, here))).toContain('encrypted with key a malformed id');
  });

  it.each([
    ['bytes', Uint8Array.from(secret)],
    ['base64', secret.toString('base64')],
    ['base64 without padding', secret.toString('base64').replace('=', '')],
    ['base64url', secret.toString('base64url')],
    ['hex', secret.toString('hex')],
    ['base64 with the line break of a file', `${secret.toString('base64')}\n`],
  ])('are taken as %s', (_how, given) => {
    const same = new EncryptedCodec({ keys: [{ id: 'k1', secret: given }] }, randomBytes);
    expect(same.decode(codec.encode(plain, here), here)).toEqual(plain);
  });

  it('are copied: who overwrites the bytes that were handed in changes nothing', () => {
    const mine = Buffer.from(secret);
    const same = new EncryptedCodec({ keys: [{ id: 'k1', secret: mine }] }, randomBytes);
    mine.fill(0);
    expect(same.decode(codec.encode(plain, here), here)).toEqual(plain);
  });

  it.each([
    [undefined, '`keys` must be a list of at least one key'],
    [[], '`keys` must be a list of at least one key'],
    [{ k1: secret }, '`keys` must be a list of at least one key'],
    [[null], '`keys[0].id` must be 1 to 64 letters'],
    [[{ id: 'a b', secret }], '`keys[0].id` must be 1 to 64 letters'],
    [
      [
        { id: 'k', secret },
        { id: 'k', secret },
      ],
      "two keys have the id 'k'",
    ],
    [
      [{ id: 'k', secret: secret.subarray(1) }],
      "the secret of key 'k' is of 31 bytes. AES-256 needs exactly 32",
    ],
    [
      [{ id: 'k', secret: 'hunter2-hunter2-hunter2-hunter2-' }],
      "the secret of key 'k' is a text that is not 32 bytes",
    ],
    [[{ id: 'k' }], "the secret of key 'k' is of type undefined"],
  ])('%# are refused with a sentence that holds no secret', (given, sentence) => {
    const refused = () => new EncryptedCodec({ keys: given as never }, randomBytes);
    expect(refused).toThrow(InvalidOptionsError);
    expect(refused).toThrow(`encryptedCodec: ${sentence}`);
    expect(refused).not.toThrow('hunter2');
  });

  it('show in no view of the codec', async () => {
    const { inspect } = await import('node:util');
    const shown = inspect(codec, { depth: 9, showHidden: true }) + JSON.stringify(codec);
    expect(shown).not.toContain('07 07 07');
    expect(shown).not.toMatch(/7, *7, *7/);
    expect(shown).not.toContain(secret.toString('base64').slice(0, 8));
  });
});

describe('what is not encrypted', () => {
  it('is refused, because whoever can write to the storage could have made it', () => {
    expect(reasonOf(() => codec.decode(plain, here))).toContain('it is not encrypted');
    expect(reasonOf(() => codec.decode(Buffer.alloc(0), here))).toContain('it is not encrypted');
  });

  it("is read with `plaintext: 'read'`, and what is written is encrypted", () => {
    const migrating = new EncryptedCodec({ keys, plaintext: 'read' }, randomBytes);
    expect(migrating.decode(plain, here)).toBe(plain);
    expect(codec.decode(migrating.encode(plain, here), here)).toEqual(plain);
  });

  it("is what `plaintext: 'write'` writes, and what is encrypted is read", () => {
    const first = new EncryptedCodec({ keys, plaintext: 'write' }, randomBytes);
    expect(first.encode(plain, here)).toBe(plain);
    const alike = Buffer.from([0x92, 1, 2]);
    expect(first.decode(first.encode(alike, here), here)).toEqual(alike);
    expect(first.decode(codec.encode(plain, here), here)).toEqual(plain);
  });

  it('must be one of the three', () => {
    expect(() => new EncryptedCodec({ keys, plaintext: true as never }, randomBytes)).toThrow(
      "encryptedCodec: `plaintext` must be 'refuse', 'read' or 'write'.",
    );
  });
});
