import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '../testing/fake-clock.js';
import { seededRandomness } from '../testing/seeded-randomness.js';
import { ENTRY_BYTES, LocalCache } from './local-cache.js';

const TTL_MS = 10_000;
let clock: FakeClock;
let endsAt: number;

beforeEach(() => {
  clock = new FakeClock();
  endsAt = clock.monotonicMs() + 3_600_000;
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function memory(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const record = (bytes: number, fingerprint = 'fp') => ({
  fingerprint,
  result: new Uint8Array(bytes),
  endsAt,
  askedAt: clock.monotonicMs(),
});

describe('LocalCache', () => {
  it('gives what was put into it, until it is dropped', () => {
    const cache = new LocalCache(10_000, TTL_MS, clock);
    cache.put('a', record(3, 'first'));
    expect(cache.get('a')).toMatchObject({ fingerprint: 'first', result: new Uint8Array(3), endsAt });
    cache.drop('a');
    expect([cache.get('a'), cache.bytes, cache.size]).toEqual([undefined, 0, 0]);
  });

  it('gives nothing that is older than its ttl, however often it was used', async () => {
    const cache = new LocalCache(10_000, TTL_MS, clock);
    cache.put('a', record(1));
    await clock.advance(TTL_MS - 1);
    expect(cache.get('a')).toBeDefined();
    await clock.advance(1);
    expect([cache.get('a'), cache.bytes]).toEqual([undefined, 0]);
  });

  it('gives nothing past the end of the record', async () => {
    const cache = new LocalCache(10_000, TTL_MS, clock);
    endsAt = clock.monotonicMs() + 500;
    cache.put('a', record(1));
    await clock.advance(499);
    expect(cache.get('a')).toBeDefined();
    await clock.advance(1);
    expect(cache.get('a')).toBeUndefined();
    cache.put('a', record(1));
    expect(cache.size).toBe(0);
  });

  it('has no timers', async () => {
    const cache = new LocalCache(10_000, TTL_MS, clock);
    cache.put('a', record(1));
    expect(clock.pendingTimers).toBe(0);
  });

  it('lets the least recently used leave first', () => {
    const each = 1 + 2 + 100 + ENTRY_BYTES;
    const cache = new LocalCache(3 * each, TTL_MS, clock);
    for (const id of ['a', 'b', 'c']) cache.put(id, record(100));
    expect(cache.bytes).toBe(3 * each);
    cache.get('a');
    cache.put('d', record(100));
    expect(['a', 'b', 'c', 'd'].filter((id) => cache.get(id) !== undefined)).toEqual(['a', 'c', 'd']);
  });

  it('does not take what is larger than all of it, and then keeps nothing old under that id either', () => {
    const cache = new LocalCache(1000, TTL_MS, clock);
    cache.put('a', record(1));
    cache.put('b', record(1000 - ENTRY_BYTES - 3 + 1));
    expect([cache.get('b'), cache.size]).toEqual([undefined, 1]);
    cache.put('a', record(1000));
    expect([cache.get('a'), cache.bytes]).toEqual([undefined, 0]);
    cache.put('b', record(1000 - ENTRY_BYTES - 3));
    expect(cache.bytes).toBe(1000);
  });

  it('keeps bytes of its own: not the buffer of which they are a slice', () => {
    const cache = new LocalCache(10_000, TTL_MS, clock);
    const wire = Buffer.alloc(65_536, 1);
    cache.put('a', { ...record(0), result: wire.subarray(10, 20) });
    wire.fill(2);
    expect(cache.get('a')?.result).toEqual(new Uint8Array(10).fill(1));
    expect(cache.get('a')?.result.buffer.byteLength).toBe(10);
  });

  it.each([10, 1000])('costs no more memory than it counts (%i bytes each)', (size) => {
    const cache = new LocalCache(100_000_000, TTL_MS, clock);
    const before = memory();
    for (let at = 0; at < 20_000; at += 1) {
      // Through a buffer: a text that was joined would keep its pieces.
      const id = Buffer.from(`shop|POST /orders|${String(at).padStart(43, '0')}`).toString();
      const fingerprint = Buffer.from(String(at).padStart(43, '0')).toString();
      cache.put(id, { ...record(size, fingerprint), endsAt: endsAt + at / 3 });
    }
    expect(cache.size).toBe(20_000);
    expect(memory() - before).toBeLessThan(cache.bytes);
    expect(memory() - before).toBeGreaterThan(cache.bytes / 2);
  });

  it.each([1, 2, 3, 4, 5])(
    'holds exactly what a count of one’s own allows, whatever comes (%i)',
    async (seed) => {
      const chance = seededRandomness(seed);
      const upTo = (most: number) => Math.floor(chance.fraction() * (most + 1));
      const maxBytes = 1 + upTo(60_000);
      const cache = new LocalCache(maxBytes, TTL_MS, clock);
      /** The same, kept as a list from the least to the most recently used, and counted anew each time. */
      let model: { id: string; bytes: number; staleAt: number; fingerprint: string }[] = [];
      const sum = () => model.reduce((total, { bytes }) => total + bytes, 0);
      for (let step = 0; step < 2000; step += 1) {
        const id = `é${upTo(40)}`;
        const known = model.find((entry) => entry.id === id);
        const others = model.filter((entry) => entry.id !== id);
        switch (upTo(5)) {
          case 0:
            cache.drop(id);
            model = others;
            break;
          case 1: {
            const isFresh = known !== undefined && known.staleAt > clock.monotonicMs();
            expect(cache.get(id)?.fingerprint).toBe(isFresh ? known.fingerprint : undefined);
            model = isFresh ? [...others, known] : others;
            break;
          }
          case 2:
            await clock.advance(upTo(TTL_MS / 20));
            break;
          default: {
            const size = upTo(chance.fraction() < 0.1 ? maxBytes * 2 : maxBytes / 8);
            const fingerprint = 'f'.repeat(upTo(255));
            const lasts = upTo(2 * TTL_MS);
            endsAt = clock.monotonicMs() + lasts;
            cache.put(id, record(size, fingerprint));
            const bytes = Buffer.from(id).length + fingerprint.length + size + 512;
            model = others;
            if (bytes > maxBytes || lasts === 0) break;
            while (sum() + bytes > maxBytes) model = model.slice(1);
            model.push({ id, bytes, fingerprint, staleAt: clock.monotonicMs() + Math.min(lasts, TTL_MS) });
          }
        }
        expect(cache.bytes).toBe(sum());
        expect(cache.size).toBe(model.length);
        expect(cache.bytes).toBeLessThanOrEqual(maxBytes);
      }
    },
  );
});
