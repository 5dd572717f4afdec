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
import { Gate } from '../testing/gate.js';
import { LOST_RESULT } from './codec-calls.js';
import { composedCodec, type Codec } from './codec.js';
import { EncryptedCodec } from './encrypted-codec.js';
import { StorageUnavailableError } from './errors.js';
import { GzipCodec } from './gzip-codec.js';

const encrypted = new EncryptedCodec({ keys: [{ id: 'k1', secret: Buffer.alloc(32, 1) }] }, randomBytes);
const codec = composedCodec([new GzipCodec(), encrypted]);

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

const stored = async () => Buffer.from((await world.memory.get(USUAL.id))?.result ?? []);

/** One that does as it is told, and is told nothing at first. */
function obedient(): Codec & { fail?: unknown; gate?: Gate } {
  const told: Codec & { fail?: unknown; gate?: Gate } = {
    name: 'kms',
    encode: (bytes) => answer(bytes),
    decode: (bytes) => answer(bytes),
  };
  const answer = async (bytes: Uint8Array) => {
    await told.gate?.pass();
    if (told.fail !== undefined) throw told.fail as Error;
    return Uint8Array.from(bytes, (byte) => byte ^ 0xff);
  };
  return told;
}

describe('a result with a codec', () => {
  it.each([2000, 200_000])(
    'is encoded in the storage and plain for everybody who asks, of %i bytes',
    async (size) => {
      const text = 'card 4242 '.repeat(size / 10);
      const run = await one.run({ codec });
      const waiting = one.begin({ codec, inFlight: 'wait' });
      await world.advance(1);
      await run.complete(result(text), 60 * SECOND);

      expect((await stored()).includes('4242')).toBe(false);
      expect((await stored()).length).toBeLessThan(size / 2 + 60);
      for (const answer of [waiting, one.begin({ codec }), other.begin({ codec })]) {
        expect(textOf(await answer)).toBe(text);
      }
    },
  );

  it('is given to a waiter of another process', async () => {
    const run = await one.run({ codec });
    const waiting = other.begin({ codec, inFlight: 'wait' });
    await world.advance(5);
    await run.complete(result('done'), 60 * SECOND);
    await world.advance(300);
    expect(textOf(await waiting)).toBe('done');
  });

  it('cannot be read when it was written with another codec or with none, and nobody runs', async () => {
    await (await one.run({ codec })).complete(result('done'), 60 * SECOND);
    expect(await other.begin()).toMatchObject({
      kind: 'unreadable',
      error: { message: expect.stringContaining('written with a `codec` that this operation does not have') },
    });
    await (await one.run({ id: 'plain' })).complete(result('done'), 60 * SECOND);
    expect(await other.begin({ id: 'plain', codec })).toMatchObject({
      kind: 'unreadable',
      error: { message: expect.stringContaining('it is not encrypted') },
    });
    expect(other.heard()).toEqual(['record-unreadable', 'record-unreadable']);
  });

  it('cannot be moved to another record, nor a step be taken for a result', async () => {
    const run = await one.run({ codec });
    await run.saveStep('charge', Buffer.from('{"paid":true}'));
    await run.release({ forget: false });
    const step = (await world.memory.get(USUAL.id))?.steps.get('charge') ?? new Uint8Array(0);
    await (await one.run({ codec, id: 'from' })).complete(result('of somebody else'), 60 * SECOND);
    const foreign = (await world.memory.get('from'))?.result ?? new Uint8Array(0);
    for (const [id, bytes] of [
      ['to', foreign],
      [USUAL.id, step],
    ] as const) {
      await world.memory.forget(id);
      const claim = { id, ownerToken: 'thief' };
      const { fingerprint } = USUAL;
      await world.memory.claim(id, { ...claim, fingerprint, leaseMs: 1, keepMs: 1000, takeOver: true });
      await world.memory.complete(claim, bytes, 60 * SECOND);
      expect((await other.begin({ id, codec })).kind).toBe('unreadable');
    }
  });

  it('that fails on writing is kept without its body, for everybody: the effect has happened', async () => {
    const kms = obedient();
    const run = await one.run({ codec: kms });
    const waiting = one.begin({ codec: kms, inFlight: 'wait' });
    await world.advance(1);
    kms.fail = new Error('the key service said no');

    expect(await run.complete(result('secret'), 60 * SECOND)).toBe('recorded');

    expect((await stored()).includes('secret')).toBe(false);
    for (const answer of [waiting, one.begin({ codec: kms }), other.begin({ codec: kms })]) {
      expect(await answer).toMatchObject({ kind: 'replay', result: { kind: 'bodyless', meta: {} } });
    }
    expect(one.heard()).toEqual(['claimed', 'codec-failed', 'completed', 'replayed', 'replayed']);
  });

  it('that hangs on writing is kept without its body after `storageTimeout`', async () => {
    const kms = obedient();
    kms.gate = new Gate();
    const run = await one.run({ codec: kms });
    const completed = run.complete(result('secret'), 60 * SECOND);

    await world.advance(SECOND - 1);
    expect(await world.peek(completed)).toBe('pending');
    await world.advance(1);
    expect(await completed).toBe('recorded');
    expect(one.events.find(({ type }) => type === 'codec-failed')?.error).toMatchObject({
      message: 'the codec `kms` did not answer within 1000 ms',
    });
    kms.gate.open();
  });

  it('that hangs on reading is refused for now after `storageTimeout`, and read when the codec is back', async () => {
    const kms = obedient();
    await (await one.run({ codec: kms })).complete(result('done'), 60 * SECOND);
    kms.gate = new Gate();
    const refused = other.begin({ codec: kms });

    await world.advance(SECOND);
    expect(await refused).toMatchObject({ kind: 'unreadable', error: expect.any(StorageUnavailableError) });
    expect(other.heard()).toEqual(['codec-failed']);
    kms.gate.open();
    expect(textOf(await other.begin({ codec: kms }))).toBe('done');
  });

  it('that takes its time to be read has so much less of it left', async () => {
    const kms = obedient();
    await (await one.run({ codec: kms })).complete(result('done'), 60 * SECOND);
    kms.gate = new Gate();
    const reading = other.begin({ codec: kms });
    await world.advance(900);
    kms.gate.open();
    expect(await reading).toMatchObject({ kind: 'replay', expiresInMs: 60 * SECOND - 900 });
  });

  it('tells a codec that cannot read now from bytes that it cannot read', async () => {
    const kms = obedient();
    await (await one.run({ codec: kms })).complete(result('done'), 60 * SECOND);

    kms.fail = new StorageUnavailableError('the key service is away');
    expect(await other.begin({ codec: kms })).toMatchObject({ kind: 'unreadable', error: kms.fail });
    kms.fail = new SyntaxError('Unexpected token in "card 4242"');
    const outcome = await other.begin({ codec: kms });
    expect(outcome).toMatchObject({
      kind: 'unreadable',
      error: {
        code: 'record-unreadable',
        message: expect.stringContaining('its codec `kms` does not decode it'),
      },
    });
    expect(outcome).not.toMatchObject({ error: { message: expect.stringContaining('4242') } });
    expect(other.heard()).toEqual(['codec-failed', 'record-unreadable']);
  });

  it('is refused when the codec answers what is no bytes', async () => {
    await (await one.run({ codec })).complete(result('done'), 60 * SECOND);
    const odd = { name: 'odd', encode: () => 'text' as never, decode: () => undefined as never };
    expect((await other.begin({ codec: odd })).kind).toBe('unreadable');
    await (await one.run({ id: 'odd', codec: odd })).complete(result('done'), 60 * SECOND);
    expect(await one.begin({ id: 'odd', codec: odd })).toMatchObject({
      kind: 'replay',
      result: { kind: 'bodyless' },
    });
  });
});

describe.each<readonly [string, Codec, readonly string[]]>([
  ['encrypted', encrypted, ['unreadable']],
  // gzip's own head has bits that mean nothing: then the answer is the right one.
  ['compressed', new GzipCodec({ threshold: 0 }), ['unreadable', 'done and done and done and done and done']],
])('a stored result that is %s', (_how, given, allowed) => {
  it('is never another answer, whichever single bit of it is turned', async () => {
    const run = await one.run({ codec: given });
    await run.complete(result('done and done and done and done and done'), 60 * SECOND);
    const whole = await stored();
    const answers = new Set<string>();
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const turned = Buffer.from(whole);
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const holds = {
        ...world.memory,
        name: 'turned',
        claim: () =>
          Promise.resolve({
            kind: 'completed' as const,
            fingerprint: USUAL.fingerprint,
            result: turned,
            expiresInMs: SECOND,
          }),
      };
      const outcome = await world.process(holds as never).begin({ codec: given });
      answers.add(outcome.kind === 'replay' ? textOf(outcome) : outcome.kind);
    }
    expect([...answers].sort()).toEqual([...allowed].sort());
  });
});

describe('steps with a codec', () => {
  const paid = Buffer.from('{"paid":4242}');

  it('are encoded in the storage under readable names, and plain for the next attempt', async () => {
    const first = await one.run({ codec });
    await first.saveStep('charge', paid);
    await first.saveStep('nothing', new Uint8Array(0));
    await first.release({ forget: false });

    const kept = (await world.memory.get(USUAL.id))?.steps ?? new Map<string, Uint8Array>();
    expect([...kept.keys()]).toEqual(['charge', 'nothing']);
    expect(Buffer.concat([...kept.values()]).includes('4242')).toBe(false);
    const next = await other.run({ codec });
    expect([...next.steps].map(([name, value]) => [name, Buffer.from(value).toString()])).toEqual([
      ['charge', '{"paid":4242}'],
      ['nothing', ''],
    ]);
    await next.release({ forget: false });
  });

  it('that were swapped are neither used nor done again, and the record stays as it was found', async () => {
    const first = await one.run({ codec });
    await first.saveStep('charge', paid);
    const charge = (await world.memory.get(USUAL.id))?.steps.get('charge') ?? new Uint8Array(0);
    await world.memory.saveStep(first.claim, 'refund', charge);
    await first.release({ forget: false });

    for (const _again of [1, 2]) {
      expect((await other.begin({ codec })).kind).toBe('unreadable');
      expect(await world.memory.get(USUAL.id)).toMatchObject({
        attempt: 1,
        released: true,
        leaseRemainingMs: 0,
      });
    }
    expect(other.heard().filter((type) => type === 'record-unreadable')).toHaveLength(2);
  });

  it('are not read past the codec, not even what a lost result looks like', async () => {
    const first = await one.run({ codec });
    await world.memory.saveStep(first.claim, 'charge', LOST_RESULT);
    await first.release({ forget: false });

    expect((await other.begin({ codec })).kind).toBe('unreadable');
  });

  it('that cannot be read now are no reason to run without them', async () => {
    const kms = obedient();
    const first = await one.run({ codec: kms });
    await first.saveStep('charge', paid);
    await first.release({ forget: false });
    kms.fail = new StorageUnavailableError('the key service is away');

    expect(await other.begin({ codec: kms })).toMatchObject({ kind: 'unreadable', error: kms.fail });
    kms.fail = undefined;
    const next = await other.run({ codec: kms });
    expect(Buffer.from(next.steps.get('charge') ?? [])).toEqual(paid);
    await next.release({ forget: false });
  });

  it('are not saved when the codec fails or hangs: whoever saves one hears of it', async () => {
    const kms = obedient();
    const run = await one.run({ codec: kms });
    kms.fail = new Error('the key service said no');
    await expect(run.saveStep('charge', paid)).rejects.toBe(kms.fail);
    kms.fail = undefined;
    kms.gate = new Gate();
    const hanging = run.saveStep('charge', paid).catch((error: unknown) => error);
    await world.advance(SECOND);
    expect(await hanging).toBeInstanceOf(StorageUnavailableError);
    expect(one.calls('saveStep')).toBe(0);
    kms.gate.open();
    await run.release({ forget: true });
  });
});
