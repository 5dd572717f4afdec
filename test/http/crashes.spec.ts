import { BadGatewayException } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { IdempotencyService, type IdempotentOptions } from 'nestjs-idempotent';
import { FakeClock, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { platforms, start } from './support/apps.js';
import { ordersController, type Handler } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, send } from './support/requests.js';

const body = { sku: 'A-123' };
const LEASE_MS = 30_000;

describe.each(platforms)('after a crash in the handler, on %s', (platform) => {
  /** The lease of a first request has run out while its handler stands still: what a crash leaves behind. */
  const crashed = async (
    options: IdempotentOptions,
    handler: Handler = (_body, { attempt, takenOver }) => ({ attempt, takenOver }),
  ) => {
    const clock = new FakeClock();
    const gate = new Gate();
    const setUp = { options: { storage: new MemoryStorage({ clock }) } };
    const dead = await start(platform, {
      ...setUp,
      controllers: [ordersController(async () => ({ dead: await gate.pass() }), options)],
    });
    const first = send(dead, '/orders', { key: 'k', body });
    await gate.reached();
    await clock.advance(LEASE_MS);
    const app = await start(platform, { ...setUp, controllers: [ordersController(handler, options)] });
    const service = app.app.get(IdempotencyService);
    const id = service.recordId({ operation: 'POST /orders', key: 'k' });
    /** The dead come back, as a process does that only stood still. */
    const wake = async () => {
      gate.open();
      return first;
    };
    return { app, service, id, clock, wake };
  };

  it('a retry takes over, and knows it', async () => {
    const { app, wake, service } = await crashed({});

    const retry = await send(app, '/orders', { key: 'k', body });

    expect(retry.json).toEqual({ attempt: 2, takenOver: true });
    expectReplayOf(retry, await send(app, '/orders', { key: 'k', body }));
    expect(service.counters().get('taken-over')).toBe(1);
    await wake();
  });

  it('the run that was taken over answers as superseded, and its successor’s answer stays', async () => {
    const { app, wake } = await crashed({});
    const retry = await send(app, '/orders', { key: 'k', body });

    const late = await wake();

    expect(late.status).toBe(201);
    expect(late.headers.get('idempotency-status')).toBe('superseded');
    expect(late.headers.get('idempotency-expires')).toBeNull();
    expectReplayOf(retry, await send(app, '/orders', { key: 'k', body }));
  });

  it('another request with the key gets 422 and does not take over', async () => {
    const { app, wake } = await crashed({});

    expectProblem(await send(app, '/orders', { key: 'k', body: { sku: 'B' } }), 422, 'key-reused');
    await wake();
  });

  it('a run that was merely slow is recorded when nobody has taken over', async () => {
    const { app, wake } = await crashed({});

    const late = await wake();

    expect(late.headers.get('idempotency-status')).toBeNull();
    expectReplayOf(late, await send(app, '/orders', { key: 'k', body }));
  });

  describe('with `onAbandoned: refuse`', () => {
    const options: IdempotentOptions = { onAbandoned: 'refuse' };
    let runs = 0;
    const handler: Handler = (_body, { attempt }) => ({ run: (runs += 1) && attempt });

    it('every retry gets 409 outcome-unknown, and the handler does not run', async () => {
      runs = 0;
      const { app, wake, service, id } = await crashed(options, handler);

      expectProblem(await send(app, '/orders', { key: 'k', body }), 409, 'outcome-unknown');
      expectProblem(await send(app, '/orders', { key: 'k', body }), 409, 'outcome-unknown');
      expect(runs).toBe(0);
      expect(await service.inspect(id)).toMatchObject({ abandoned: true, running: false, attempt: 1 });
      expect(service.counters().get('abandoned')).toBe(2);
      await wake();
    });

    it('`resolve` with rerun lets the next retry run', async () => {
      runs = 0;
      const { app, wake, service, id } = await crashed(options, handler);

      await service.resolve(id, 'rerun');

      const retry = await send(app, '/orders', { key: 'k', body });
      expect(retry.status).toBe(201);
      expectReplayOf(retry, await send(app, '/orders', { key: 'k', body }));
      expect(runs).toBe(1);
      await wake();
    });

    it('`resolve` with a response makes that the answer to every retry', async () => {
      runs = 0;
      const { app, wake, service, id } = await crashed(options, handler);

      await service.resolve(id, { status: 200, headers: { 'X-By': 'operator' }, body: { id: 'order-9' } });

      const retry = await send(app, '/orders', { key: 'k', body });
      expect({ status: retry.status, json: retry.json }).toEqual({ status: 200, json: { id: 'order-9' } });
      expect(retry.headers.get('x-by')).toBe('operator');
      expect(retry.headers.get('content-type')).toBe('application/json; charset=utf-8');
      expect(retry.headers.get('idempotent-replayed')).toBe('true');
      expectProblem(await send(app, '/orders', { key: 'k', body: {} }), 422, 'key-reused');
      expect(runs).toBe(0);
      await wake();
    });

    it('`resolve` with a value sends it as if the handler had returned it', async () => {
      runs = 0;
      const { app, wake, service, id } = await crashed(options, handler);

      await service.resolve(id, { value: { id: 'order-9' } });

      const retry = await send(app, '/orders', { key: 'k', body });
      expect({ status: retry.status, json: retry.json }).toEqual({ status: 201, json: { id: 'order-9' } });
      expect(retry.headers.get('idempotent-replayed')).toBe('true');
      expect(runs).toBe(0);
      await wake();
    });

    it('the run that comes back after `resolve` is superseded', async () => {
      const { app, wake, service, id } = await crashed(options, handler);
      await service.resolve(id, { status: 204 });

      expect((await wake()).headers.get('idempotency-status')).toBe('superseded');
      expect((await send(app, '/orders', { key: 'k', body })).status).toBe(204);
    });
  });

  describe('with `recover`', () => {
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
});
