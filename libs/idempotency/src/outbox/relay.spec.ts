import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AsyncLocalStorage } from 'node:async_hooks';
import { SimpleOutboxTable } from '../../../../test/outbox/support/simple-outbox-table.js';
import { FakeClock } from '../testing/fake-clock.js';
import { Gate } from '../testing/gate.js';
import { seededRandomness } from '../testing/seeded-randomness.js';
import type { OutboxMessage } from '../typeorm/outbox/message.js';
import type { OutboxEvent } from './events.js';
import { OutboxMessageRefusedError } from './publish.js';
import { Relay } from './relay.js';
import type { RelayTerms } from './resolve-options.js';

const HOUR = 3_600_000;
const TERMS: RelayTerms = {
  pollEveryMs: 1000,
  batchSize: 100,
  concurrency: 10,
  leaseMs: 30_000,
  publishTimeoutMs: 10_000,
  attempts: 3,
  delayMs: 1000,
  maxDelayMs: 300_000,
};

let clock: FakeClock;
let table: SimpleOutboxTable;
let published: string[];
let events: OutboxEvent[];
let publish: (message: OutboxMessage, context: { signal: AbortSignal }) => unknown;
const relays: Relay[] = [];

beforeEach(() => {
  clock = new FakeClock();
  table = new SimpleOutboxTable(clock);
  [published, events] = [[], []];
  publish = () => undefined;
});

afterEach(async () => {
  const stopped = relays.splice(0).map((relay) => relay.stop());
  await clock.advance(60_000);
  await Promise.all(stopped);
  expect(clock.pendingTimers).toBe(0);
});

function open(terms: Partial<RelayTerms> = {}): Relay {
  const relay = new Relay({
    table,
    terms: { ...TERMS, ...terms },
    clock,
    timers: clock.timers,
    randomness: seededRandomness(1),
    publish: (message, context) => {
      published.push(message.id);
      return publish(message, context);
    },
    onEvent: (event) => events.push(event),
  });
  relays.push(relay);
  return relay;
}

const told = (type: OutboxEvent['type']) => events.filter((event) => event.type === type);

describe('one round', () => {
  it('publishes a batch, and marks it as delivered in fewer calls than it has messages', async () => {
    table.add(25);
    expect(await open().runOnce()).toEqual({ claimed: 25, delivered: 25, failed: 0, dead: 0 });
    expect(new Set(table.states())).toEqual(new Set(['delivered']));
    expect(published).toHaveLength(25);
    expect(table.count('delivered')).toBeLessThan(10);
  });

  it('publishes aggregates side by side, and the messages of one of them one after another', async () => {
    table.add(3, 'a');
    table.add(3, 'b');
    const gates = new Map(table.rows.map(({ sequence }) => [`m${sequence}`, new Gate()]));
    publish = ({ id }) => gates.get(id)?.pass();
    const round = open().runOnce();
    await clock.settle();
    expect(published).toEqual(['m1', 'm4']);
    gates.get('m4')?.open();
    await clock.settle();
    expect(published).toEqual(['m1', 'm4', 'm5']);
    for (const gate of gates.values()) gate.open();
    expect(await round).toMatchObject({ delivered: 6 });
  });

  it('publishes no more at a time than `concurrency` says', async () => {
    table.add(9);
    const gate = new Gate();
    publish = () => gate.pass();
    const round = open({ concurrency: 4 }).runOnce();
    await clock.settle();
    expect(published).toHaveLength(4);
    gate.open();
    expect(await round).toMatchObject({ delivered: 9 });
  });

  it('lets a message that fails hold back those of its aggregate alone, and marks what was sent before it', async () => {
    table.add(3, 'a');
    table.add(2, 'b');
    publish = ({ id }) => {
      if (id === 'm2') throw new Error('no route');
    };
    const relay = open();
    expect(await relay.runOnce()).toEqual({ claimed: 5, delivered: 3, failed: 1, dead: 0 });
    expect(table.states()).toEqual(['delivered', 'waiting', 'waiting', 'delivered', 'delivered']);
    expect(await relay.runOnce()).toMatchObject({ claimed: 0 });
    expect(told('failed')).toMatchObject([
      { message: { id: 'm2', attempt: 1 }, retryInMs: expect.any(Number) },
    ]);
  });

  it('notes a failure, which ends its lease on the aggregate, once what was sent before is marked', async () => {
    table.add(2, 'a');
    publish = ({ id }) => {
      if (id === 'm2') throw new Error('no route');
    };
    const gate = new Gate();
    table.before = (call) => (call === 'delivered' ? gate.pass() : undefined);
    const round = open().runOnce();
    await gate.reached();
    await clock.settle();
    expect(published).toEqual(['m1', 'm2']);
    expect(table.count('failed')).toBe(0);
    gate.open();
    await round;
    expect(table.states()).toEqual(['delivered', 'waiting']);
    expect(told('lease-lost')).toEqual([]);
  });

  it('tries again after pauses that double and are jittered, and gives up after `attempts`', async () => {
    table.add(1, 'a');
    table.add(1, 'a');
    publish = () => Promise.reject(new Error('no broker'));
    const relay = open();
    await relay.runOnce();
    await clock.advance(1000);
    await relay.runOnce();
    await clock.advance(2000);
    expect(await relay.runOnce()).toMatchObject({ claimed: 2, failed: 0, dead: 1 });

    const [first, second] = told('failed').map(({ retryInMs }) => retryInMs as number);
    expect(first).toBeGreaterThanOrEqual(500);
    expect(first).toBeLessThanOrEqual(1000);
    expect(second).toBeGreaterThanOrEqual(1000);
    expect(second).toBeLessThanOrEqual(2000);
    expect(told('dead')).toMatchObject([{ message: { id: 'm1', attempt: 3 } }]);
    await clock.advance(HOUR);
    expect(await relay.runOnce()).toMatchObject({ claimed: 0 });
  });

  it('gives up at once what is refused for good', async () => {
    table.add(1);
    publish = () => {
      throw new OutboxMessageRefusedError('nobody knows this event');
    };
    expect(await open().runOnce()).toMatchObject({ dead: 1 });
    expect(table.states()).toEqual(['dead']);
  });

  it('ends a try that hangs after `publishTimeout`, and tells whoever publishes by its signal', async () => {
    table.add(1);
    let given: AbortSignal | undefined;
    publish = (_, { signal }) => {
      given = signal;
      return new Promise(() => undefined);
    };
    const round = open().runOnce();
    await clock.advance(9_999);
    expect(given?.aborted).toBe(false);
    await clock.advance(1);
    expect(await round).toMatchObject({ failed: 1 });
    expect(given?.aborted).toBe(true);
    expect(told('failed')).toMatchObject([{ error: { message: 'publishing did not end within 10s' } }]);
  });

  it('begins nothing that its lease might not cover, and gives it back', async () => {
    table.add(8, 'a');
    const relay = open({ concurrency: 1 });
    publish = () => new Promise((resolve) => clock.timers.set(7000, () => resolve(undefined)));
    const round = relay.runOnce();
    await clock.advance(30_000);
    // At 0, 7 and 14 s; at 21 s less than 10 s are left of 30.
    expect(await round).toEqual({ claimed: 8, delivered: 3, failed: 0, dead: 0 });
    expect(table.rows.every(({ owner }) => owner === undefined)).toBe(true);
    expect(table.count('release')).toBe(1);
  });

  it('says that messages are sent twice when their lease has gone to somebody else meanwhile', async () => {
    table.add(1);
    publish = () => {
      table.rows[0]!.owner = 'another relay';
    };
    await open().runOnce();
    expect(told('lease-lost')).toMatchObject([{ count: 1 }]);
    expect(table.states()).toEqual(['waiting']);
  });

  it('asks again for a mark whose answer was lost, and does not take that for a lost lease', async () => {
    table.add(1);
    let lost = 0;
    table.after = (call) => {
      if (call === 'delivered' && (lost += 1) === 1) throw new Error('connection reset');
    };
    const round = open().runOnce();
    await clock.advance(1000);
    expect(await round).toMatchObject({ delivered: 1 });
    expect(table.states()).toEqual(['delivered']);
    expect([told('lease-lost'), told('unmarked')]).toEqual([[], []]);
  });

  it('says that messages will be sent again when the database cannot be told until their lease is over', async () => {
    table.add(2);
    table.before = (call) => {
      if (call === 'delivered') throw new Error('no database');
    };
    const round = open().runOnce();
    await clock.advance(40_000);
    await round;
    expect(told('unmarked').reduce((sum, { count = 0 }) => sum + count, 0)).toBe(2);
    expect(table.states()).toEqual(['waiting', 'waiting']);
  });
});

describe('a relay that runs', () => {
  it('finds what others have added within `pollEvery`', async () => {
    open().start();
    await clock.advance(300);
    table.add(1);
    await clock.advance(500);
    expect(published).toEqual([]);
    await clock.advance(200);
    expect(published).toEqual(['m1']);
  });

  it('is woken long before the next poll, and looks once for many who wake it at the same moment', async () => {
    const relay = open({ pollEveryMs: HOUR });
    relay.start();
    await clock.advance(10);
    table.add(50);
    const before = table.count('claim');
    for (let times = 0; times < 50; times += 1) relay.wake();
    await clock.settle();
    expect(published).toHaveLength(50);
    expect(table.count('claim') - before).toBeLessThan(5);
  });

  it('looks again when it is woken while it looks', async () => {
    const relay = open({ pollEveryMs: HOUR });
    const gate = new Gate();
    table.after = (call) => (call === 'claim' && table.count('claim') === 1 ? gate.pass() : undefined);
    relay.start();
    await gate.reached();
    table.add(1);
    relay.wake();
    gate.open();
    await clock.settle();
    expect(published).toEqual(['m1']);
  });

  it('knows by itself when a message is due again, and goes on with the rest of an aggregate at once', async () => {
    table.add(25, 'a');
    let failures = 0;
    publish = ({ id }) => {
      if (id === 'm12' && (failures += 1) === 1) throw new Error('not now');
    };
    open({ pollEveryMs: HOUR }).start();
    await clock.settle();
    expect(published).toHaveLength(12);
    await clock.advance(1000);
    expect(new Set(table.states())).toEqual(new Set(['delivered']));
    expect(published).toHaveLength(26);
  });

  it('goes on with other aggregates while one hangs', async () => {
    table.add(1, 'a');
    publish = ({ aggregate }) => (aggregate === 'a' ? new Promise(() => undefined) : undefined);
    open({ concurrency: 2 }).start();
    await clock.settle();
    table.add(20);
    await clock.advance(1000);
    expect(table.states().filter((state) => state === 'delivered')).toHaveLength(20);
  });

  it('says once that the database is away, asks it less and less, and goes on when it is back', async () => {
    let isAway = true;
    table.before = () => {
      if (isAway) throw new Error('ECONNREFUSED');
    };
    const relay = open();
    relay.start();
    for (let second = 0; second < 60; second += 1) {
      relay.wake();
      await clock.advance(1000);
    }
    expect(told('database-away')).toHaveLength(1);
    expect(table.count('claim')).toBeLessThan(50);
    isAway = false;
    table.add(1);
    await clock.advance(2000);
    expect(published).toEqual(['m1']);
    expect(events.map(({ type }) => type)).toEqual(['database-away', 'database-back', 'delivered']);
  });

  it('gives back what an answer brings that comes too late to publish', async () => {
    table.add(1);
    const gate = new Gate();
    let claims = 0;
    table.after = (call) => (call === 'claim' && (claims += 1) === 1 ? gate.pass() : undefined);
    open().start();
    await clock.advance(20_000);
    expect(told('database-away')).toHaveLength(1);
    expect(published).toEqual([]);
    gate.open();
    await clock.advance(2000);
    expect(table.count('release')).toBe(1);
    expect(published).toEqual(['m1']);
  });

  it('ends what it publishes when it is stopped, begins nothing more, and gives the rest back', async () => {
    table.add(5, 'a');
    const gate = new Gate();
    publish = () => gate.pass();
    const relay = open();
    relay.start();
    await gate.reached();
    const stopped = relay.stop();
    await clock.settle();
    gate.open();
    await stopped;
    expect(published).toEqual(['m1']);
    expect(table.states()).toEqual(['delivered', 'waiting', 'waiting', 'waiting', 'waiting']);
    expect(table.rows.some(({ owner }) => owner !== undefined)).toBe(false);
    await clock.advance(60_000);
    expect(published).toEqual(['m1']);
    expect(await relay.runOnce()).toMatchObject({ claimed: 0 });
  });

  it('is stopped within `publishTimeout` and some seconds, also when nothing answers any more', async () => {
    table.add(1);
    publish = () => new Promise(() => undefined);
    table.before = (call) => (call === 'claim' ? undefined : new Promise(() => undefined));
    const relay = open();
    relay.start();
    await clock.advance(100);
    let isStopped = false;
    void relay.stop().then(() => (isStopped = true));
    await clock.advance(15_000);
    expect(isStopped).toBe(true);
  });

  it('runs again after a stop', async () => {
    const relay = open();
    relay.start();
    await relay.stop();
    relay.start();
    table.add(1);
    await clock.advance(1000);
    expect(published).toEqual(['m1']);
  });

  it('runs again when it is started before its stop has ended', async () => {
    table.add(1);
    const gate = new Gate();
    publish = () => gate.pass();
    const relay = open();
    relay.start();
    await gate.reached();
    const stopped = relay.stop();
    relay.start();
    gate.open();
    await stopped;
    table.add(1);
    await clock.advance(1000);
    expect(published).toEqual(['m1', 'm2']);
  });

  it('publishes in the context of no request that has woken it or asked for a round', async () => {
    const requests = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    publish = () => seen.push(requests.getStore());
    const relay = open({ pollEveryMs: HOUR });
    relay.start();
    await clock.settle();
    table.add(2);
    await requests.run('request 1', async () => {
      relay.wake();
      await clock.settle();
      table.add(1);
      await relay.runOnce();
    });
    expect(seen).toEqual([undefined, undefined, undefined]);
  });
});
