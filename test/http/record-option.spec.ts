import { ConflictException, Logger } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { IdempotencyService, type ExecutionOutcome, type IdempotentOptions } from 'nestjs-idempotent';
import { platforms, start } from './support/apps.js';
import { ordersController, type Handler } from './support/orders.controller.js';
import { expectReplayOf, send } from './support/requests.js';

const body = { sku: 'A-123' };

describe.each(platforms)('the callbacks `record` and `replayHeaders` on %s', (platform) => {
  const set = async (options: IdempotentOptions, handler: Handler) => {
    const errors: string[] = [];
    const app = await start(platform, {
      controllers: [ordersController(handler, options)],
      prepare: () =>
        Logger.overrideLogger({
          log: () => {},
          warn: () => {},
          error: (...parts: unknown[]) => errors.push(parts.join(' ')),
        }),
    });
    return { app, errors, post: () => send(app, '/orders', { key: 'k', body }) };
  };

  it('decide which outcomes are final, and learn how the handler ended', async () => {
    const seen: ExecutionOutcome[] = [];
    let runs = 0;
    const { post } = await set(
      {
        record: (outcome) => {
          seen.push(outcome);
          return outcome.status === 201 ? 'keep' : 'release';
        },
      },
      () => {
        if ((runs += 1) === 1) throw new ConflictException();
        return { runs };
      },
    );

    expect((await post()).status).toBe(409);
    const first = await post();
    expectReplayOf(first, await post());

    expect(seen).toEqual([
      { transport: 'http', phase: 'threw', status: 409, error: expect.any(ConflictException) },
      { transport: 'http', phase: 'returned', status: 201, value: { runs: 2 } },
    ]);
  });

  it.each<[string, () => 'keep' | 'release']>([
    [
      'throws',
      () => {
        throw new Error('record is broken');
      },
    ],
    ['answers a promise', () => Promise.resolve('release') as never],
    ['answers nothing', () => undefined as never],
  ])('leave the default to decide when `record` %s, and the log says so', async (_what, record) => {
    const { post, errors } = await set({ record }, () => 'done');

    expectReplayOf(await post(), await post());
    expect(errors).toEqual([expect.stringMatching(/A callback of the idempotency options.*record/)]);
  });

  it('do not hold up an answer when `replayHeaders` throws: it is recorded as by default', async () => {
    const replayHeaders = () => {
      throw new Error('replayHeaders is broken');
    };
    const { app, post, errors } = await set({ replayHeaders }, () => ({ id: 'order-1' }));

    expectReplayOf(await post(), await post());
    expect(errors[0]).toContain('replayHeaders is broken');
    expect(app.app.get(IdempotencyService).counters().get('completed')).toBe(1);
  });
});
