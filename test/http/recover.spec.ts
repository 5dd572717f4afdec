import { BadGatewayException } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import type { IdempotentOptions } from 'nestjs-idempotent';
import { platforms, start } from './support/apps.js';
import { crashedRun } from './support/crashed-run.js';
import { ordersController, type Handler } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, send } from './support/requests.js';

const body = { sku: 'A-123' };

describe.each(platforms)('`recover` after a crash in the handler, on %s', (platform) => {
  const crashed = (options: IdempotentOptions, handler?: Handler) => crashedRun(platform, options, handler);

  it('what it returns is the answer, and the handler does not run', async () => {
    let runs = 0;
    const asked: unknown[] = [];
    const { app, wake } = await crashed(
      {
        recover: async (op) => {
          asked.push([op.key, op.attempt, op.takenOver]);
          return { id: 'order-1', recovered: true };
        },
      },
      () => ({ run: (runs += 1) }),
    );

    const retry = await send(app, '/orders', { key: 'k', body });

    expect({ status: retry.status, json: retry.json }).toEqual({
      status: 201,
      json: { id: 'order-1', recovered: true },
    });
    expectReplayOf(retry, await send(app, '/orders', { key: 'k', body }));
    expect(asked).toEqual([['k', 2, true]]);
    expect(runs).toBe(0);
    await wake();
  });

  it('the handler runs when it finds nothing', async () => {
    const { app, wake } = await crashed({ recover: () => undefined });

    const retry = await send(app, '/orders', { key: 'k', body });

    expect(retry.json).toEqual({ attempt: 2, takenOver: true });
    await wake();
  });

  it('that throws, its error is answered, nothing is kept, and the next retry asks it again', async () => {
    let asked = 0;
    const { app, wake } = await crashed({
      recover: () => {
        if ((asked += 1) === 1) throw new BadGatewayException('the payment service is away');
        return { asked };
      },
    });

    const refused = await send(app, '/orders', { key: 'k', body });
    const retry = await send(app, '/orders', { key: 'k', body });

    expect(refused.status).toBe(502);
    expect(refused.json.message).toBe('the payment service is away');
    expect(retry.json).toEqual({ asked: 2 });
    await wake();
  });

  it('and `onAbandoned: refuse`, the outcome stays unknown when it finds nothing', async () => {
    let found: unknown = undefined;
    let runs = 0;
    const { app, wake } = await crashed({ onAbandoned: 'refuse', recover: () => found }, () => ({
      run: (runs += 1),
    }));

    expectProblem(await send(app, '/orders', { key: 'k', body }), 409, 'outcome-unknown');
    expectProblem(await send(app, '/orders', { key: 'k', body }), 409, 'outcome-unknown');
    found = { id: 'order-1' };
    const retry = await send(app, '/orders', { key: 'k', body });

    expect(retry.json).toEqual({ id: 'order-1' });
    expectReplayOf(retry, await send(app, '/orders', { key: 'k', body }));
    expect(runs).toBe(0);
    await wake();
  });

  it('is not asked for a first run, nor for a retry of one that threw', async () => {
    let asked = 0;
    let runs = 0;
    const handler = () => {
      if ((runs += 1) === 1) throw new Error('fails');
      return { runs };
    };
    const controllers = [ordersController(handler, { recover: () => ({ asked: (asked += 1) }) })];
    const app = await start(platform, { controllers });

    await send(app, '/orders', { key: 'k', body });

    expect((await send(app, '/orders', { key: 'k', body })).json).toEqual({ runs: 2 });
    expect(asked).toBe(0);
  });
});
