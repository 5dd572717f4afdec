import { Controller, Post, Res } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { Idempotent, type IdempotentOptions } from 'nestjs-idempotent';
import { platforms, start } from './support/apps.js';
import { crashedRun } from './support/crashed-run.js';
import type { Handler } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, send } from './support/requests.js';

const body = { sku: 'A-123' };

describe.each(platforms)('after a crash in the handler, on %s', (platform) => {
  const crashed = (options: IdempotentOptions, handler?: Handler) => crashedRun(platform, options, handler);

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

  it('the run that was taken over and then fails answers as superseded too', async () => {
    const { app, fail } = await crashed({});
    const retry = await send(app, '/orders', { key: 'k', body });

    const late = await fail();

    expect(late.status).toBe(500);
    expect(late.headers.get('idempotency-status')).toBe('superseded');
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

    it.each([
      ['passthrough', true],
      ['none, which would have sent its answer by itself', false],
    ])('`resolve` with a value answers for a handler with @Res(): %s', async (_what, passthrough) => {
      @Controller('orders')
      class Orders {
        @Post()
        @Idempotent(options)
        create(@Res({ passthrough }) _response: unknown) {
          runs += 1;
        }
      }
      runs = 0;
      const { service, id, wake, storage } = await crashed(options);
      await service.resolve(id, { value: { id: 'order-9' } });
      const app = await start(platform, { controllers: [Orders], options: { storage } });

      const retry = await send(app, '/orders', { key: 'k', body });

      expect({ status: retry.status, json: retry.json }).toEqual({ status: 201, json: { id: 'order-9' } });
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
});
