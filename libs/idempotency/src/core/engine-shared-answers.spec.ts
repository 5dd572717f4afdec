import { afterEach, beforeEach, expect, describe, it } from '@jest/globals';
import {
  EngineWorld,
  result,
  SECOND,
  textOf,
  type SimulatedProcess,
} from '../../../../test/support/engine-world.js';
import type { Codec } from './codec.js';
import type { BeginOutcome } from './idempotency-engine.js';

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

/** As an application's hook may do with the bytes that it is to send. */
function scribble(outcome: BeginOutcome): void {
  if (outcome.kind === 'replay') outcome.result.body.fill(0);
}

/** Works where the bytes are instead of making new ones. */
const inPlace: Codec = {
  name: 'in place',
  encode: turn,
  decode: turn,
};
function turn(bytes: Uint8Array): Uint8Array {
  for (const [at, byte] of bytes.entries()) bytes[at] = byte ^ 0xff;
  return bytes;
}

describe('an answer that several get', () => {
  it('is each waiter’s own: whoever writes into it changes no other', async () => {
    const run = await one.run();
    const waiting = [1, 2].map(() => one.begin({ inFlight: 'wait' }));
    await world.advance(1);
    await run.complete(result('done'), 60 * SECOND);

    for (const waiter of waiting) {
      const answer = await waiter;
      expect(textOf(answer)).toBe('done');
      scribble(answer);
    }
  });

  it('is each asker’s own when one question to the storage answers several', async () => {
    await (await other.run()).complete(result('done'), 60 * SECOND);
    const held = one.storage.holdAnswer('claim');
    const asking = [1, 2].map(() => one.begin());
    await held.reached();
    held.open();

    for (const asker of asking) {
      const answer = await asker;
      expect(textOf(answer)).toBe('done');
      scribble(answer);
    }
    expect(one.calls('claim')).toBe(1);
  });

  it('comes whole through a codec that writes into the bytes that it is given', async () => {
    const terms = { codec: inPlace, localCache: { maxBytes: 100_000, ttlMs: 10 * SECOND } };
    const run = await one.run(terms);
    const waiting = one.begin({ ...terms, inFlight: 'wait' });
    await world.advance(1);
    await run.complete(result('done'), 60 * SECOND);

    expect(textOf(await waiting)).toBe('done');
    const held = other.storage.holdAnswer('claim');
    const asking = [1, 2].map(() => other.begin(terms));
    await held.reached();
    held.open();
    for (const asker of [...asking, one.begin(terms), one.begin(terms), other.begin(terms)]) {
      expect(textOf(await asker)).toBe('done');
    }
  });
});
