import { ConflictException } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { memoryStorage } from 'nestjs-idempotent';
import { FakeClock, MemoryStorage } from 'nestjs-idempotent/testing';
import { platforms, start } from './support/apps.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { expectHttpDate, expectReplayOf, send } from './support/requests.js';

const body = { sku: 'A-123', quantity: 1 };

describe.each(platforms)('what the client sees on %s', (platform) => {
  it('is the handler’s own answer the first time, with the date until which it is kept', async () => {
    const handler = ordersController(() => ({ id: 'order-1' }), { ttl: '1h' });
    const app = await start(platform, { controllers: [handler] });
    const before = Date.now();

    const first = await send(app, '/orders', { key: 'k', body });

    expect({ status: first.status, json: first.json }).toEqual({ status: 201, json: { id: 'order-1' } });
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    expect(first.headers.get('idempotency-status')).toBeNull();
    const expires = first.headers.get('idempotency-expires');
    expectHttpDate(expires);
    expect(Math.abs(Date.parse(expires ?? '') - before - 3_600_000)).toBeLessThan(5000);
  });

  it('is the same answer again, also from another process, and the handler runs once', async () => {
    const handler = countingHandler();
    const setUp = { controllers: [ordersController(handler)], options: { storage: memoryStorage() } };
    const app = await start(platform, setUp);
    const other = await start(platform, setUp);

    const first = await send(app, '/orders', { key: 'k', body });

    expectReplayOf(first, await send(app, '/orders', { key: 'k', body }));
    expectReplayOf(first, await send(other, '/orders', { key: 'k', body }));
    expect(handler.runs).toBe(1);
  });

  it('is another answer for another key', async () => {
    const handler = countingHandler();
    const app = await start(platform, { controllers: [ordersController(handler)] });

    const one = await send(app, '/orders', { key: 'one', body });
    const two = await send(app, '/orders', { key: 'two', body });

    expect([one.json.id, two.json.id]).toEqual(['order-1', 'order-2']);
  });

  it('is the same refusal again for a 4xx that the handler threw', async () => {
    let runs = 0;
    const handler = () => {
      throw new ConflictException(`sold out ${(runs += 1)}`);
    };
    const app = await start(platform, { controllers: [ordersController(handler)] });

    const first = await send(app, '/orders', { key: 'k', body });

    expect(first.status).toBe(409);
    expectReplayOf(first, await send(app, '/orders', { key: 'k', body }));
    expect(runs).toBe(1);
  });

  it('is a new run after a 5xx, and the fingerprint of the first one stays', async () => {
    let runs = 0;
    const handler = () => {
      if ((runs += 1) === 1) throw new Error('the database is away');
      return { runs };
    };
    const app = await start(platform, { controllers: [ordersController(handler)] });

    const failed = await send(app, '/orders', { key: 'k', body });
    const other = await send(app, '/orders', { key: 'k', body: { sku: 'B' } });
    const retried = await send(app, '/orders', { key: 'k', body });

    expect([failed.status, other.status, retried.status]).toEqual([500, 422, 201]);
    expect(failed.headers.get('idempotency-expires')).toBeNull();
    expect(retried.json).toEqual({ runs: 2 });
    expectReplayOf(retried, await send(app, '/orders', { key: 'k', body }));
  });

  it('runs again once the record has expired', async () => {
    const clock = new FakeClock();
    const handler = countingHandler();
    const controllers = [ordersController(handler, { ttl: '1h' })];
    const app = await start(platform, { controllers, options: { storage: new MemoryStorage({ clock }) } });

    await send(app, '/orders', { key: 'k', body });
    await clock.advance(3_600_000);
    const late = await send(app, '/orders', { key: 'k', body });

    expect(late.headers.get('idempotent-replayed')).toBeNull();
    expect(handler.runs).toBe(2);
  });
});
