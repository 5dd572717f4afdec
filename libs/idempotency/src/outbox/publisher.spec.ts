import { describe, expect, it } from '@jest/globals';
import { concat, delay, EMPTY, of, throwError } from 'rxjs';
import { FakeClock } from '../testing/fake-clock.js';
import { seededRandomness } from '../testing/seeded-randomness.js';
import type { ClaimedMessage } from '../typeorm/outbox/outbox-table.js';
import type { PublishOutboxMessage } from './publish.js';
import { Publisher, type PublishOutcome } from './publisher.js';

const message: ClaimedMessage = {
  sequence: '1',
  id: 'm1',
  pattern: 'orders.placed',
  payload: { order: 1 },
  aggregate: 'order:1',
  correlationId: 'c1',
  headers: {},
  addedAt: new Date(0),
  attempt: 1,
};
const terms = { publishTimeoutMs: 10_000, attempts: 3, delayMs: 1000, maxDelayMs: 300_000 };

function tried(publish: PublishOutboxMessage, more: Partial<ClaimedMessage> = {}): Promise<PublishOutcome> {
  const { timers } = new FakeClock();
  const publisher = new Publisher({ publish, terms, timers, randomness: seededRandomness(1) });
  return publisher.publish({ ...message, ...more });
}

const failure = (kind: 'dead' | 'retry', error: string) => ({ kind: 'failed', failure: { kind, error } });

describe('one try to publish', () => {
  it('hands out the message, and nothing of the table', async () => {
    const given: unknown[] = [];
    expect(await tried((one) => given.push(one))).toEqual({ kind: 'published' });
    const { sequence: _, ...rest } = message;
    expect(given).toEqual([rest]);
  });

  it('takes the end of an Observable as the answer, as Nest does', async () => {
    expect(await tried(() => EMPTY)).toEqual({ kind: 'published' });
    expect(await tried(() => of(1, 2).pipe(delay(1)))).toEqual({ kind: 'published' });
    const failing = () =>
      Promise.resolve(
        concat(
          of('begun'),
          throwError(() => new Error('no route')),
        ),
      );
    expect(await tried(failing)).toMatchObject(failure('retry', 'no route'));
  });

  it('is not begun with what cannot be read any more, nor with what processes seem to die of', async () => {
    const begun: number[] = [];
    const publish: PublishOutboxMessage = ({ attempt }) => void begun.push(attempt);
    expect(await tried(publish, { unreadable: 'no JSON' })).toMatchObject(failure('dead', 'no JSON'));
    expect(await tried(publish, { attempt: terms.attempts + 10 })).toEqual({ kind: 'published' });
    expect(await tried(publish, { attempt: terms.attempts + 11 })).toMatchObject({
      failure: { kind: 'dead', error: expect.stringContaining('do not come to an end') },
    });
    expect(begun).toEqual([terms.attempts + 10]);
  });

  it.each([
    ['a\0b', 'a b'],
    [{ code: 'ECONNRESET' }, 'ECONNRESET'],
    [Object.create(null) as object, 'something was thrown that makes no text'],
    [{ code: Object.create(null) as object }, 'something was thrown that makes no text'],
  ])('notes whatever is thrown, as text (%#)', async (thrown, text) => {
    expect(await tried(() => throwError(() => thrown))).toMatchObject(failure('retry', text));
  });
});
