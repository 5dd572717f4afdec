import { describe, expect, it } from '@jest/globals';
import { composedCodec, type Codec } from './codec.js';

const here = { recordId: 'id', part: 'result' };

/** Puts a letter behind the bytes, and takes it off again. */
function letter(name: string, later = false): Codec {
  const answer = (bytes: Buffer) => (later ? Promise.resolve(bytes) : bytes);
  return {
    name,
    encode: (bytes) => answer(Buffer.concat([bytes, Buffer.from(name)])),
    decode: (bytes) => {
      if (Buffer.from(bytes.subarray(-1)).toString() !== name) throw new Error(`no ${name} at the end`);
      return answer(Buffer.from(bytes.subarray(0, -1)));
    },
  };
}

describe('composedCodec', () => {
  it.each([
    ['synchronous', false],
    ['asynchronous', true],
  ])(
    'applies %s codecs from left to right on writing, from right to left on reading',
    async (_how, later) => {
      const codec = composedCodec([letter('a'), letter('b', later), letter('c')]);
      const bytes = await codec?.encode(Buffer.from('-'), here);
      expect(Buffer.from(bytes ?? []).toString()).toBe('-abc');
      expect(Buffer.from((await codec?.decode(bytes ?? new Uint8Array(0), here)) ?? []).toString()).toBe('-');
    },
  );

  it('takes promises of other libraries for promises', async () => {
    const foreign = {
      ...letter('a'),
      encode: (bytes: Uint8Array) => ({
        then: (resolve: (bytes: Uint8Array) => unknown) => resolve(Buffer.concat([bytes, Buffer.from('a')])),
      }),
    };
    const codec = composedCodec([foreign as unknown as Codec, letter('b')]);
    expect(await codec?.encode(Buffer.from('-'), here)).toEqual(Buffer.from('-ab'));
  });

  it('answers at once as long as its codecs do', () => {
    expect(composedCodec([letter('a'), letter('b')])?.encode(Buffer.from('-'), here)).toEqual(
      Buffer.from('-ab'),
    );
  });

  it('is the codec itself when there is one, and none when there is none', () => {
    const one = letter('a');
    expect([composedCodec([one]), composedCodec([])]).toEqual([one, undefined]);
  });

  it('is named by its codecs', () => {
    expect(composedCodec([letter('gzip'), letter('encrypted')])?.name).toBe('gzip+encrypted');
  });
});
