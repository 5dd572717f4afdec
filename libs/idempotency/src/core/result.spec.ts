import { describe, expect, it } from '@jest/globals';
import { seededRandomness } from '../testing/seeded-randomness.js';
import { RecordUnreadableError } from './errors.js';
import { decodeResult, encodeResult, type StoredResult } from './result.js';

const SAMPLE: StoredResult = {
  kind: 'response',
  meta: {
    status: 201,
    headers: [['Location', '/orders/1']],
    kind: 'of its own',
    note: 'größe \u0000 \ud83d\ude00',
  },
  body: Buffer.from([0, 255, 105, 1, 0]),
};
const HEADER_BYTES = 10;

describe('encodeResult and decodeResult', () => {
  it.each<StoredResult>([
    SAMPLE,
    { kind: 'value', meta: {}, body: new Uint8Array(0) },
    { kind: 'bodyless', meta: { resource: { type: 'order', id: 7 } }, body: new Uint8Array(0) },
    { kind: 'response', meta: { status: 200 }, body: Buffer.alloc(1 << 20, 7) },
  ])('give back what was put in', (result) => {
    const { kind, meta, body } = decodeResult(encodeResult(result));
    expect({ kind, meta }).toEqual({ kind: result.kind, meta: result.meta });
    expect(Buffer.compare(body, result.body)).toBe(0);
  });

  it('give back any bytes and any head, also from the middle of a larger buffer', () => {
    const { fraction } = seededRandomness(11);
    for (let round = 0; round < 200; round += 1) {
      const body = Buffer.from(Array.from({ length: fraction() * 100 }, () => fraction() * 256));
      const bytes = encodeResult({ kind: 'value', meta: { round, text: 'x'.repeat(fraction() * 50) }, body });
      const around = Buffer.concat([Buffer.alloc(round % 7, 105), bytes, Buffer.alloc(3)]);
      const view = new Uint8Array(around.buffer, around.byteOffset + (round % 7), bytes.length);
      const decoded = decodeResult(view);
      expect(decoded.meta['round']).toBe(round);
      expect(Buffer.compare(decoded.body, body)).toBe(0);
    }
  });

  it('refuse every truncation and everything that was added to', () => {
    const bytes = encodeResult(SAMPLE);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => decodeResult(bytes.subarray(0, length))).toThrow(RecordUnreadableError);
    }
    expect(() => decodeResult(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(RecordUnreadableError);
  });

  it('refuse every flipped bit in the header', () => {
    for (let bit = 0; bit < HEADER_BYTES * 8; bit += 1) {
      const bytes = Buffer.from(encodeResult(SAMPLE));
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => decodeResult(bytes)).toThrow(RecordUnreadableError);
    }
  });

  it.each([
    'null',
    '[]',
    '1',
    '{}',
    '{"kind":"value"}',
    '{"kind":"value","meta":[]}',
    '{"kind":"odd","meta":{}}',
    '{"kind":',
  ])('refuse the head %s', (head) => {
    const bytes = Buffer.concat([
      Buffer.from([0x69, 1, 0, 0, 0, head.length, 0, 0, 0, 0]),
      Buffer.from(head),
    ]);
    expect(() => decodeResult(bytes)).toThrow(RecordUnreadableError);
  });

  it('refuse what is no bytes at all, as a storage of another make may give', () => {
    for (const odd of [undefined, null, 'text', {}, []]) {
      expect(() => decodeResult(odd as never)).toThrow(RecordUnreadableError);
    }
  });

  it('say so when the layout is of another version', () => {
    const bytes = Buffer.from(encodeResult(SAMPLE));
    bytes[1] = 9;
    expect(() => decodeResult(bytes)).toThrow(/layout 9, this version reads 1/);
  });
});
