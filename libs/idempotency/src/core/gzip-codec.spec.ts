import { describe, expect, it } from '@jest/globals';
import { gunzipSync } from 'node:zlib';
import { RecordUnreadableError } from './errors.js';
import { GzipCodec } from './gzip-codec.js';

const order = Buffer.from(JSON.stringify({ items: Array.from({ length: 100 }, () => ({ sku: 'A-123' })) }));

describe('GzipCodec', () => {
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['fewer bytes than its threshold', order.subarray(0, 1023)],
    ['1 KiB and more', order],
    ['more than goes without the thread pool', Buffer.alloc(100_000, order)],
    ['bytes that begin as its own frame does', Buffer.from([0x91, 1, 2, 3])],
    ['bytes that begin as its mark for bytes as they are', Buffer.from([0x90])],
  ])('gives back %s as they were', async (_what, bytes) => {
    const codec = new GzipCodec();
    expect(Buffer.from(await codec.decode(await codec.encode(bytes)))).toEqual(bytes);
  });

  it('stores fewer bytes than its threshold as they are, so that versions without a codec still read them', () => {
    const small = order.subarray(0, 1023);
    expect(new GzipCodec().encode(small)).toBe(small);
  });

  it('stores what does not shrink as it is', async () => {
    const noise = Buffer.from(Array.from({ length: 2000 }, (_, at) => (at * at * 31 + (at ^ 85) * 17) & 255));
    const short = new GzipCodec({ threshold: 0 });
    expect(await short.encode(Buffer.from('{"id":1}'))).toEqual(Buffer.from('{"id":1}'));
    expect((await short.encode(noise)).length).toBeLessThanOrEqual(noise.length);
  });

  it('compresses with gzip, and equal bytes give equal bytes', async () => {
    const [once, again] = [await new GzipCodec().encode(order), await new GzipCodec().encode(order)];
    expect(once).toEqual(again);
    expect(once.length).toBeLessThan(order.length / 10);
    expect(gunzipSync(once.subarray(5))).toEqual(order);
  });

  it('reads with a threshold of Infinity what was compressed, and compresses nothing', async () => {
    const off = new GzipCodec({ threshold: Infinity });
    expect(await off.encode(order)).toBe(order);
    expect(await off.decode(await new GzipCodec().encode(order))).toEqual(order);
  });

  it('never yields more bytes than its frame promises, nor more than `maxBytes`', async () => {
    const codec = new GzipCodec({ maxBytes: 200_000 });
    const bomb = Buffer.from(await new GzipCodec().encode(Buffer.alloc(50_000_000)));
    expect(bomb.length).toBeLessThan(60_000);
    expect(() => codec.decode(bomb)).toThrow(
      'promises 50000000 bytes, and `maxBytes` of gzipCodec allows 1 to 200000',
    );
    for (const promised of [1, 1000, 200_000]) {
      bomb.writeUInt32BE(promised, 1);
      // It ended there, and not after 50 MB.
      await expect((async () => codec.decode(bomb))()).rejects.toMatchObject({
        code: 'record-unreadable',
        cause: { code: 'ERR_BUFFER_TOO_LARGE' },
      });
    }
    expect(await codec.encode(Buffer.alloc(200_001))).toHaveLength(200_001);
  });

  it.each([1000, 40_000])(
    'refuses every record of %i bytes of which bytes are missing, or whose frame promises another length',
    async (size) => {
      const codec = new GzipCodec();
      const frame = Buffer.from(await codec.encode(Buffer.alloc(size + 100, order)));
      for (let length = 1; length < frame.length; length += 1) {
        await expect((async () => codec.decode(frame.subarray(0, length)))()).rejects.toThrow(
          RecordUnreadableError,
        );
      }
      frame.writeUInt32BE(frame.readUInt32BE(1) + 1, 1);
      await expect((async () => codec.decode(frame))()).rejects.toThrow('promises');
    },
  );

  it.each([
    [{ threshold: -1 }, '`threshold` is -1; it must be a whole number of bytes, 0 or more, or Infinity'],
    [{ threshold: '1kb' }, '`threshold` is of type string'],
    [{ level: 0 }, '`level` is 0; it must be a whole number from 1 to 9'],
    [{ maxBytes: 0 }, '`maxBytes` is 0; it must be a whole number of bytes, 1 or more'],
  ])('refuses %j', (options, sentence) => {
    expect(() => new GzipCodec(options as never)).toThrow(`gzipCodec: ${sentence}`);
  });
});
