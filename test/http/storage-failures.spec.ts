import { describe, expect, it } from '@jest/globals';
import { IdempotencyService, memoryStorage, type IdempotentOptions } from 'nestjs-idempotent';
import { faultyStorage, Gate } from 'nestjs-idempotent/testing';
import { platforms, start } from './support/apps.js';
import { countingHandler, ordersController, type Handler } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, retryAfter, send } from './support/requests.js';
import { eventually } from './support/eventually.js';

const body = { sku: 'A-123' };

describe.each(platforms)('with a storage that fails, on %s', (platform) => {
  const setUp = async (handler: Handler, options: IdempotentOptions = {}) => {
    const storage = faultyStorage(memoryStorage());
    const app = await start(platform, {
      controllers: [ordersController(handler, { storageTimeout: '200ms', ...options })],
      options: { storage, storageTimeout: '200ms' },
    });
    return { storage, app, service: app.app.get(IdempotencyService) };
  };
  const timed = async <T>(work: Promise<T>): Promise<{ value: T; ms: number }> => {
    const from = performance.now();
    return { value: await work, ms: performance.now() - from };
  };

  it('that rejects, the client gets 503 and Retry-After in time, and the handler does not run', async () => {
    const handler = countingHandler();
    const { storage, app } = await setUp(handler);
    storage.rejectNext('claim', Infinity);

    const { value: refused, ms } = await timed(send(app, '/orders', { key: 'k', body }));

    expectProblem(refused, 503, 'storage-unavailable');
    expect(retryAfter(refused)).toBe(1);
    expect(ms).toBeLessThan(1000);
    expect(handler.runs).toBe(0);
    storage.heal();
    expect((await send(app, '/orders', { key: 'k', body })).status).toBe(201);
  });

  it('that hangs, the client gets 503 within `storageTimeout`, and the key is free once it answers', async () => {
    const handler = countingHandler();
    const { storage, app } = await setUp(handler);
    const gate = storage.holdAnswer('claim', 2);

    const { value: refused, ms } = await timed(send(app, '/orders', { key: 'k', body }));

    expectProblem(refused, 503, 'storage-unavailable');
    // The bound is 200 ms; the rest is a machine that is busy with other tests.
    expect(ms).toBeLessThan(1000);
    gate.open();
    await eventually(async () => expect((await send(app, '/orders', { key: 'k', body })).status).toBe(201));
    expect(handler.runs).toBe(1);
  });

  it('for a moment only, the client notices nothing', async () => {
    const handler = countingHandler();
    const { storage, app } = await setUp(handler);
    storage.rejectNext('claim');
    storage.loseAnswer('complete');

    const first = await send(app, '/orders', { key: 'k', body });

    expect(first.status).toBe(201);
    expect(first.headers.get('idempotency-status')).toBeNull();
    expectReplayOf(first, await send(app, '/orders', { key: 'k', body }));
  });

  it('and `onStorageFailure: run`, the handler runs without protection, with its key, and it is counted', async () => {
    const keys: unknown[] = [];
    const { storage, app, service } = await setUp(
      (_body, op) => {
        keys.push(op.key, op.attempt, op.takenOver, op.deriveKey('charge'));
        return { ran: keys.length };
      },
      { onStorageFailure: 'run' },
    );
    storage.rejectNext('claim', Infinity);

    const first = await send(app, '/orders', { key: 'k', body });
    const second = await send(app, '/orders', { key: 'k', body });

    expect([first.status, second.status]).toEqual([201, 201]);
    expect(first.headers.get('idempotency-expires')).toBeNull();
    expect(keys.slice(0, 4)).toEqual(['k', 1, false, expect.stringMatching(/^[0-9a-f-]{36}$/)]);
    expect(keys.slice(4)).toEqual(keys.slice(0, 4));
    expect(service.counters().get('unprotected')).toBe(2);
  });

  it('at the end, the client gets its answer as unrecorded; no duplicate runs, and it is replayed once it is stored', async () => {
    const handler = countingHandler();
    const { storage, app, service } = await setUp(handler);
    storage.rejectNext('complete', Infinity);

    const first = await send(app, '/orders', { key: 'k', body });

    expect(first.status).toBe(201);
    expect(first.headers.get('idempotency-status')).toBe('unrecorded');
    expect(first.headers.get('idempotency-expires')).toBeNull();
    expectProblem(await send(app, '/orders', { key: 'k', body }), 409, 'key-in-progress');
    expect(service.counters().get('unrecorded')).toBe(1);
    storage.heal();
    await eventually(async () => expectReplayOf(first, await send(app, '/orders', { key: 'k', body })));
    expect(handler.runs).toBe(1);
  });

  it('that hangs at the end, the answer goes out after `storageTimeout`', async () => {
    const { storage, app } = await setUp(countingHandler());
    const gate = storage.holdCall('complete', Infinity);

    const { value: first, ms } = await timed(send(app, '/orders', { key: 'k', body }));

    expect(first.headers.get('idempotency-status')).toBe('unrecorded');
    expect(ms).toBeLessThan(1000);
    gate.open();
    storage.heal();
    await eventually(async () => expectReplayOf(first, await send(app, '/orders', { key: 'k', body })));
  });

  it('while the claim is given up after a throw, the client gets the error in time', async () => {
    const { storage, app } = await setUp(() => {
      throw new Error('the handler fails');
    });
    storage.rejectNext('release', Infinity);

    const { value: failed, ms } = await timed(send(app, '/orders', { key: 'k', body }));

    expect(failed.status).toBe(500);
    expect(ms).toBeLessThan(1000);
    storage.heal();
  });

  it('down while a request waits for a running one, the wait ends with 503', async () => {
    const gate = new Gate();
    const storage = faultyStorage(memoryStorage());
    const set = {
      controllers: [
        ordersController(() => gate.pass(), { inFlight: 'wait', storageTimeout: '200ms', waitTimeout: '5s' }),
      ],
      options: { storage },
    };
    const app = await start(platform, set);
    const other = await start(platform, set);
    const first = send(app, '/orders', { key: 'k', body });
    await gate.reached();
    const waiting = send(other, '/orders', { key: 'k', body });
    await eventually(async () => expect(storage.calls('claim').length).toBeGreaterThan(1));

    storage.rejectNext('claim', Infinity);

    expectProblem(await waiting, 503, 'storage-unavailable');
    storage.heal();
    gate.open();
    await first;
  });
});
