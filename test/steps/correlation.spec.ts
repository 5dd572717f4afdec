import { Logger } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { IdempotencyService, memoryStorage, type IdempotencyEvent } from 'nestjs-idempotent';
import { faultyStorage } from 'nestjs-idempotent/testing';
import { platforms, start } from '../http/support/apps.js';
import { ordersController } from '../http/support/orders.controller.js';
import { send } from '../http/support/requests.js';
import { codeOf, job, startService } from '../http/support/services.js';
import { ask, drivers, startGraphql } from '../transports/support/graphql-app.js';
import { actResolver } from '../transports/support/one-mutation.js';
import { startConsumer } from '../transports/support/tcp-consumer.js';

const UUID = /^[0-9a-f-]{36}$/;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const headers = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` };

afterEach(() => Logger.overrideLogger(false));

describe.each(platforms)('`op.correlationId`, on %s', (platform) => {
  it('comes from the request, and stands in its events and in its record', async () => {
    const orders = await start(platform, {
      controllers: [ordersController((_body, op) => ({ correlationId: op.correlationId }))],
    });
    const service = orders.app.get(IdempotencyService);
    const events: IdempotencyEvent[] = [];
    service.events$.subscribe((event) => events.push(event));

    const first = await send(orders, '/orders', { key: 'k', headers });
    await send(orders, '/orders', { key: 'k', headers: { 'x-request-id': 'retry-1' } });

    expect(first.json).toEqual({ correlationId: TRACE });
    expect(events.map(({ type, correlationId }) => [type, correlationId])).toEqual([
      ['claimed', TRACE],
      ['completed', TRACE],
      ['replayed', 'retry-1'],
    ]);
    const id = service.recordId({ operation: 'POST /orders', key: 'k' });
    expect(await service.inspect(id)).toMatchObject({
      result: 'response',
      status: 201,
      correlationId: TRACE,
    });
  });

  it('is there without a key too, and new where the request has none', async () => {
    const orders = await start(platform, {
      controllers: [
        ordersController((_body, op) => ({ correlationId: op.correlationId }), { required: false }),
      ],
    });

    expect((await send(orders, '/orders', { headers })).json).toEqual({ correlationId: TRACE });
    expect((await send(orders, '/orders')).json).toEqual({ correlationId: expect.stringMatching(UUID) });
    expect((await send(orders, '/orders', { key: 'k' })).json).toEqual({
      correlationId: expect.stringMatching(UUID),
    });
  });

  it('is in the lines of the log', async () => {
    const storage = faultyStorage(memoryStorage());
    const orders = await start(platform, { controllers: [ordersController(() => 1)], options: { storage } });
    const lines: unknown[] = [];
    Logger.overrideLogger({ log: () => {}, error: () => {}, warn: (line: string) => void lines.push(line) });
    storage.rejectNext('complete');

    await send(orders, '/orders', { key: 'k', headers });

    expect(lines).toContainEqual(
      expect.stringMatching(
        new RegExp(`^The idempotency storage failed .*attempt 1, correlation ${TRACE}\\]`),
      ),
    );
  });
});

describe('`op.correlationId` elsewhere', () => {
  it.each(drivers)('is that of the request of a mutation, $name', async (driver) => {
    const app = await startGraphql(driver, { providers: [actResolver((_name, op) => op.correlationId)] });
    expect((await ask(app, 'mutation { act }', { key: 'k', headers })).data).toEqual({ act: TRACE });
  });

  it('is new for a message without headers', async () => {
    const app = await startConsumer((_data, op) => op.correlationId);
    expect(await app.send('orders.create', { id: 'm1' })).toMatch(UUID);
  });

  it('is what a job is given, or new; what cannot stand in a log is refused', async () => {
    const service = await startService();
    const work = (op: { correlationId: string }) => op.correlationId;

    expect((await service.run(job('a', { correlationId: 'nightly-7' }), work)).value).toBe('nightly-7');
    expect((await service.run(job('b'), work)).value).toMatch(UUID);
    expect(await codeOf(service.run(job('c', { correlationId: 'a b' }), work))).toBe('invalid-options');
  });
});
