import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import {
  EngineWorld,
  result,
  SECOND,
  textOf,
  USUAL,
  type SimulatedProcess,
} from '../../../../test/support/engine-world.js';
import { EncryptedCodec } from './encrypted-codec.js';

const localCache = { maxBytes: 100_000, ttlMs: 10 * SECOND };
const cached = { localCache };

let world: EngineWorld;
let one: SimulatedProcess;
let other: SimulatedProcess;

beforeEach(() => {
  world = new EngineWorld();
  [one, other] = [world.process(), world.process()];
});
afterEach(async () => {
  expect(await world.end()).toBe(0);
});

async function completed(process: SimulatedProcess, text = 'done', ttlMs = 3600 * SECOND): Promise<void> {
  await (await process.run(cached)).complete(result(text), ttlMs);
}

/** How many questions to the storage it costs. */
async function trips(process: SimulatedProcess, call: () => Promise<unknown>): Promise<number> {
  const before = process.calls();
  await call();
  return process.calls() - before;
}

describe('a completed record with `localCache`', () => {
  it('is replayed without a question to the storage where it was completed, and once it was asked for elsewhere', async () => {
    await completed(one);
    expect(await trips(one, async () => expect(textOf(await one.begin(cached))).toBe('done'))).toBe(0);
    expect(await trips(other, () => other.begin(cached))).toBe(1);
    expect(await trips(other, async () => expect(textOf(await other.begin(cached))).toBe('done'))).toBe(0);
    expect(one.heard()).toEqual(['claimed', 'completed', 'replayed']);
  });

  it('is asked for each time without it', async () => {
    await (await one.run()).complete(result('done'), 3600 * SECOND);
    expect(await trips(one, () => one.begin())).toBe(1);
    expect(await trips(one, () => one.begin())).toBe(1);
  });

  it('is compared first: another request is refused, also without a question to the storage', async () => {
    await completed(one);
    expect(
      await trips(one, async () =>
        expect(await one.begin({ ...cached, fingerprint: 'pears' })).toEqual({ kind: 'reused' }),
      ),
    ).toBe(0);
  });

  it('is answered while the storage is down', async () => {
    await completed(one);
    one.storage.rejectNext('claim', Infinity);
    expect(textOf(await one.begin(cached))).toBe('done');
  });

  it('is asked for again after its ttl', async () => {
    await completed(one);
    await world.advance(localCache.ttlMs - 1);
    expect(await trips(one, () => one.begin(cached))).toBe(0);
    await world.advance(1);
    expect(await trips(one, () => one.begin(cached))).toBe(1);
  });

  it('runs again when its own time is over, and tells before how much is left of it', async () => {
    await completed(one, 'done', 2 * SECOND);
    await world.advance(1500);
    expect(await one.begin(cached)).toMatchObject({ kind: 'replay', expiresInMs: 500 });
    await world.advance(500);
    await (await one.run(cached)).release({ forget: true });
  });

  it('that was read late in its life is not kept past it either', async () => {
    await completed(other, 'done', 2 * SECOND);
    await world.advance(1500);
    const held = one.storage.holdAnswer('claim');
    const asked = one.begin(cached);
    await held.reached();
    await world.advance(300);
    held.open();
    expect((await asked).kind).toBe('replay');
    await world.advance(200);
    await (await one.run(cached)).release({ forget: true });
  });

  it('is asked for again `ttl` after it was asked for, however late its answer came', async () => {
    await completed(other);
    const held = one.storage.holdAnswer('claim');
    const asked = one.begin(cached);
    await held.reached();
    await world.memory.forget(USUAL.id); // by another process
    await world.advance(400);
    held.open();
    expect((await asked).kind).toBe('replay');

    await world.advance(localCache.ttlMs - 400);
    await (await one.run(cached)).release({ forget: true });
  });

  it('is asked for again `ttl` after its outcome was sent, however late that was confirmed', async () => {
    const run = await one.run(cached);
    const held = one.storage.holdAnswer('complete');
    const ended = run.complete(result('done'), 3600 * SECOND);
    await held.reached();
    await world.memory.forget(USUAL.id); // by another process
    await world.advance(900);
    held.open();
    expect(await ended).toBe('recorded');

    await world.advance(localCache.ttlMs - 900);
    await (await one.run(cached)).release({ forget: true });
  });

  it('is gone at once where it was forgotten, and after `ttl` elsewhere', async () => {
    await completed(one);
    await other.begin(cached);
    await world.memory.forget(USUAL.id);
    one.engine.forgetCached(USUAL.id);

    expect((await other.begin(cached)).kind).toBe('replay');
    await (await one.run(cached)).release({ forget: true });
    await world.advance(localCache.ttlMs);
    await (await other.run(cached)).release({ forget: true });
  });

  it('is not kept when it was forgotten while its answer was on the way, whoever shares that answer', async () => {
    await completed(other);
    const held = one.storage.holdAnswer('claim');
    const asked = one.begin(cached);
    await held.reached();
    await world.memory.forget(USUAL.id);
    one.engine.forgetCached(USUAL.id);
    const sharing = one.begin(cached);
    held.open();

    expect([(await asked).kind, (await sharing).kind]).toEqual(['replay', 'replay']);
    await (await one.run(cached)).release({ forget: true });
  });

  it('that was forgotten while its outcome was being stored is not kept', async () => {
    const run = await one.run(cached);
    const held = one.storage.holdAnswer('complete');
    const ended = run.complete(result('done'), 3600 * SECOND);
    await held.reached();
    await world.memory.forget(USUAL.id);
    one.engine.forgetCached(USUAL.id);
    held.open();
    await ended;
    await (await one.run(cached)).release({ forget: true });
  });

  it('gives way to a new run of this process', async () => {
    await completed(one, 'old');
    await world.memory.forget(USUAL.id); // by another process
    const own = { maxBytes: 100_000, ttlMs: 5 * SECOND };
    const run = await one.run({ localCache: own }); // which has not got the old one
    expect(await one.begin(cached)).toMatchObject({ kind: 'in_progress' });
    await run.release({ forget: true });
    await (await one.run(cached)).release({ forget: true });
  });

  it('never holds what is in progress', async () => {
    const run = await one.run(cached);
    expect((await other.begin(cached)).kind).toBe('in_progress');
    expect((await other.begin(cached)).kind).toBe('in_progress');
    await run.complete(result('done'), 3600 * SECOND);
    expect(textOf(await other.begin(cached))).toBe('done');
  });

  it('holds what the storage holds: still encrypted, and read anew each time', async () => {
    const codec = new EncryptedCodec({ keys: [{ id: 'k1', secret: Buffer.alloc(32, 1) }] }, randomBytes);
    let reads = 0;
    const counting = {
      ...codec,
      name: 'counting',
      encode: codec.encode.bind(codec),
      decode: (...given: Parameters<EncryptedCodec['decode']>) => {
        reads += 1;
        return codec.decode(...given);
      },
    };
    const terms = { ...cached, codec: counting };
    await (await one.run(terms)).complete(result('done'), 3600 * SECOND);
    for (const time of [1, 2]) {
      expect(await trips(one, async () => expect(textOf(await one.begin(terms))).toBe('done'))).toBe(0);
      expect(reads).toBe(time);
    }
  });

  it('that cannot be read is not kept: it is asked for anew, in case somebody has mended it', async () => {
    const claim = { id: USUAL.id, ownerToken: 'x' };
    const { fingerprint } = USUAL;
    await world.memory.claim(claim.id, { ...claim, fingerprint, leaseMs: 1, keepMs: 1000, takeOver: true });
    await world.memory.complete(claim, Buffer.from('garbage'), 3600 * SECOND);
    for (const _again of [1, 2]) {
      expect(await trips(one, async () => expect((await one.begin(cached)).kind).toBe('unreadable'))).toBe(1);
    }
  });

  it('is not shared between caches, and whoever writes into an answer changes no other', async () => {
    await completed(one);
    expect(await trips(one, () => one.begin({ localCache: { ...localCache } }))).toBe(1);
    const answer = await one.begin(cached);
    if (answer.kind === 'replay') answer.result.body.fill(0);
    expect(textOf(await one.begin(cached))).toBe('done');
  });
});
