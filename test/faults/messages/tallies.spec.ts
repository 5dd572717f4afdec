import { describe, expect, it } from '@jest/globals';
import { brokenPromises, type ConsumersTally } from './consumers-tally.js';
import { countDelivered } from './delivered-messages.js';
import type { Numbered } from './outbox-writers.js';

const a1 = { id: 'a1', aggregate: 'a', number: 1 };
const a2 = { id: 'a2', aggregate: 'a', number: 2 };
const a3 = { id: 'a3', aggregate: 'a', number: 3 };
const b1 = { id: 'b1', aggregate: 'b', number: 1 };

type Sent = Numbered & { readonly id: string };

const written = (...messages: readonly Sent[]) =>
  new Map(messages.map(({ id, aggregate, number }) => [id, { aggregate, number }]));

const packet = ({ id, ...data }: Sent, correlationId = `of ${id}`) =>
  JSON.stringify({ pattern: 'orders.changed', data: { id, correlationId, data } });

const well = { duplicates: 0, missing: 0, invented: 0, outOfOrder: 0, altered: 0 };

describe('the count of what relays have delivered', () => {
  it('takes duplicates for no fault, wherever they come', () => {
    const queue = [a1, b1, a2, a1, a1, b1].map((message) => packet(message));

    expect(countDelivered(written(a1, a2, b1), queue)).toEqual({ ...well, delivered: 6, duplicates: 3 });
  });

  it('finds what is missing, and what is of nobody', () => {
    expect(countDelivered(written(a1, a2), [packet(a1), packet(b1)])).toMatchObject({
      missing: 1,
      invented: 1,
    });
  });

  it('finds a message that came before an older one', () => {
    expect(
      countDelivered(written(a1, a2, b1), [packet(a2), packet(b1), packet(a1)]).outOfOrder,
    ).toBeGreaterThan(0);
  });

  it('finds a gap in an aggregate, also if what is missing comes later', () => {
    const queue = [a1, a3, a2].map((message) => packet(message));

    expect(countDelivered(written(a1, a2, a3), queue).outOfOrder).toBeGreaterThan(0);
  });

  it('finds another content under the same id, and another correlation id', () => {
    const queue = [packet(a1), packet(a1, 'another'), packet({ ...b1, number: 7 })];

    expect(countDelivered(written(a1, b1), queue).altered).toBe(2);
  });
});

describe('the judgement about consumers', () => {
  const options = {
    ...{ messages: 10, processes: 1, kills: 1, seed: 1, lease: '1s', storageTimeout: '1s', stuckAfterMs: 1 },
    keys: 'with' as const,
  };
  const once = { once: 10, never: 0, moreThanOnce: 0, invented: 0 };
  const tally: Omit<ConsumersTally, 'broken'> = {
    ...{ messages: 10, published: 30, stock: once, mails: once, wrongUnits: 0, repeatedCalls: 0 },
    ...{ left: 0, deadLetters: 0, seconds: 1, complaints: '', kills: new Map([['any moment', 1]]) },
    facts: {
      delivered: 30,
      redelivered: 1,
      acked: 30,
      requeued: 0,
      refused: 0,
      'ran stock': 10,
      'ran mail': 11,
    },
  };

  it('is content when each effect was there once', () => {
    expect(brokenPromises(tally, options)).toEqual([]);
  });

  it.each<[string, Partial<ConsumersTally>]>([
    ['a stock move that was made twice', { stock: { ...once, once: 9, moreThanOnce: 1 } }],
    ['a mail that was never sent', { mails: { ...once, once: 9, never: 1 } }],
    ['units that nobody has asked for', { wrongUnits: 3 }],
    ['more repeated calls than a killed process could have begun', { repeatedCalls: 11 }],
    ['a message that nobody has acknowledged', { left: 1 }],
    ['a dead letter', { deadLetters: 1 }],
    ['a kill that did not come', { kills: new Map() }],
  ])('finds %s', (_what, part) => {
    expect(brokenPromises({ ...tally, ...part }, options)).toHaveLength(1);
  });
});
