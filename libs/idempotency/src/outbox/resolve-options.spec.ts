import { describe, expect, it } from '@jest/globals';
import { EMPTY, of, throwError } from 'rxjs';
import type { OutboxMessage } from '../typeorm/outbox/message.js';
import type { OutboxOptions } from './options.js';
import { resolveOptions } from './resolve-options.js';

const publish = () => undefined;
const client = { emit: () => EMPTY };

describe('the options of the outbox', () => {
  it('have defaults for all but who publishes', () => {
    const { publish: given, ...rest } = resolveOptions({ publish });
    expect(given).toBe(publish);
    expect(rest).toEqual({
      dataSource: undefined,
      table: undefined,
      relays: true,
      keepDeliveredMs: 604_800_000,
      purgeEveryMs: 600_000,
      terms: {
        pollEveryMs: 1000,
        batchSize: 100,
        concurrency: 10,
        leaseMs: 30_000,
        publishTimeoutMs: 10_000,
        attempts: 300,
        delayMs: 1000,
        maxDelayMs: 300_000,
      },
    });
  });

  it('need nobody who publishes in a process that only adds', () => {
    expect(resolveOptions({ relay: false })).toMatchObject({ relays: false, publish: undefined });
  });

  it.each<[string, OutboxOptions]>([
    ['neither `client` nor `publish` is given', {}],
    ['`client` and `publish` are both given', { client, publish }],
    ['`client` is not a ClientProxy', { client: {} as typeof client }],
    ['`publish` must be a function', { publish: 'x' as never }],
    ['there is no `client`', { publish, toPacket: (message) => message }],
    ['`toPacket` must be a function', { client, toPacket: 'id' as never }],
    [
      '`relay.lease` (10s) is not longer than `relay.publishTimeout` (10s)',
      { publish, relay: { lease: '10s' } },
    ],
    ['is longer than 1d', { publish, relay: { lease: '25d' } }],
    [
      '`retry.maxDelay` (1s) is shorter than `retry.delay` (2s)',
      { publish, retry: { delay: 2, maxDelay: 1 } },
    ],
    ['`relay.pollEvery` is 5000 seconds', { publish, relay: { pollEvery: 5000 } }],
    ['`relay.publishTimeout` is 0', { publish, relay: { publishTimeout: 0 } }],
    ['`relay.batchSize` must be a whole number', { publish, relay: { batchSize: 0 } }],
    ['`relay.concurrency` must be a whole number', { publish, relay: { concurrency: 1.5 } }],
    ['`retry.attempts` must be a whole number', { publish, retry: { attempts: Infinity } }],
    ['`keepDelivered` is', { publish, keepDelivered: 'long' }],
    ['`purgeEvery` is', { publish, purgeEvery: -1 }],
    ['`relay` must be an object of options, or false', { publish, relay: true as never }],
    ['`retry` must be an object of options', { publish, retry: 3 as never }],
    ['`dataSource` is not a DataSource', { publish, dataSource: {} as never }],
    ['`table` is not a name', { publish, table: 7 as never }],
    ['`pollInterval` is not an option here', { publish, pollInterval: 1 } as never],
    ['`relay.pollInterval` is not an option here', { publish, relay: { pollInterval: 1 } } as never],
    ['`retry.tries` is not an option here', { publish, retry: { tries: 1 } } as never],
  ])('are refused where they cannot be meant: %s', (sentence, options) => {
    const attempt = () => resolveOptions(options);
    expect(attempt).toThrow(expect.objectContaining({ code: 'invalid-options' }));
    expect(attempt).toThrow(sentence);
  });
});

describe('publishing by a client', () => {
  const message: OutboxMessage = {
    id: 'm1',
    pattern: 'orders.placed',
    payload: { order: 1 },
    aggregate: 'order:1',
    correlationId: 'c1',
    headers: {},
    addedAt: new Date(0),
    attempt: 1,
  };
  const context = { signal: new AbortController().signal };

  it('emits an envelope in which consumers find the id, and ends when the client does', async () => {
    const emitted: unknown[] = [];
    const emit = (...given: unknown[]) => {
      emitted.push(given);
      return emitted.length === 1 ? EMPTY : of('some', 'thing');
    };
    const { publish: send } = resolveOptions({ client: { emit } });
    await send?.(message, context);
    await send?.({ ...message, headers: { kind: 'x' } }, context);
    const envelope = { id: 'm1', correlationId: 'c1', data: { order: 1 } };
    expect(emitted).toEqual([
      ['orders.placed', envelope],
      ['orders.placed', { ...envelope, headers: { kind: 'x' } }],
    ]);
  });

  it('emits what `toPacket` makes of a message, also when that takes time', async () => {
    const emitted: unknown[] = [];
    const emit = (_: string, packet: unknown) => of(emitted.push(packet));
    const toPacket = ({ payload }: OutboxMessage) => Promise.resolve({ packed: payload });
    await resolveOptions({ client: { emit }, toPacket }).publish?.(message, context);
    expect(emitted).toEqual([{ packed: { order: 1 } }]);
  });

  it('fails when the client does', async () => {
    const emit = () => throwError(() => new Error('no broker'));
    await expect(resolveOptions({ client: { emit } }).publish?.(message, context)).rejects.toThrow(
      'no broker',
    );
  });
});
