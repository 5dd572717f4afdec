import { Logger, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it } from '@jest/globals';
import { IDEMPOTENCY_EVENT_TYPES, IdempotencyService, type IdempotencyEvent } from 'nestjs-idempotent';
import { FakeClock, faultyStorage, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { platforms, start } from './support/apps.js';
import { ordersController } from './support/orders.controller.js';
import { send } from './support/requests.js';
import { codeOf, job, startService, stopServices } from './support/services.js';

describe('what happens', () => {
  it('is on events$, in counters and on diagnostics channels, without key, scope or result', async () => {
    const service = await startService();
    const seen: IdempotencyEvent[] = [];
    const published: unknown[] = [];
    const listen = (message: unknown) => published.push(message);
    for (const type of IDEMPOTENCY_EVENT_TYPES) subscribe(`nestjs-idempotent:${type}`, listen);
    let completed = false;
    service.events$.subscribe({ next: (event) => seen.push(event), complete: () => (completed = true) });
    const secret = job('secret-key', { scope: 'secret-user' });

    await service.run(secret, () => 'secret-result');
    await service.run(secret, () => 'never');
    await codeOf(service.run({ ...secret, fingerprint: 1 }, () => 'never'));
    await service.run(job('secret-2'), () => Promise.reject(new Error('fails'))).catch(() => {});

    expect(seen.map(({ type }) => type)).toEqual([
      'claimed',
      'completed',
      'replayed',
      'key-reused',
      'claimed',
      'released',
    ]);
    expect(published).toEqual(seen);
    expect(seen.every(({ operation }) => operation === 'import-invoice')).toBe(true);
    expect(seen[0]).toMatchObject({ attempt: 1, id: service.recordId(secret) });
    expect(Object.fromEntries(service.counters())).toEqual({
      claimed: 2,
      completed: 1,
      replayed: 1,
      'key-reused': 1,
      released: 1,
    });
    expect(JSON.stringify(seen)).not.toContain('secret');
    for (const type of IDEMPOTENCY_EVENT_TYPES) unsubscribe(`nestjs-idempotent:${type}`, listen);
    await stopServices();
    expect(completed).toBe(true);
  });

  it('is not counted as replayed when the stored answer is refused', async () => {
    const service = await startService();
    await service.run(job('k'), () => new Map());

    await codeOf(service.run(job('k'), () => 'never'));

    expect(service.counters().get('replayed')).toBeUndefined();
  });
});

describe.each(platforms)('the counters on %s', (platform) => {
  it('tell what became of requests', async () => {
    const app = await start(platform, { controllers: [ordersController(() => 'done')] });
    const post = (key: string, body: object) => send(app, '/orders', { key, body });

    await post('k', { a: 1 });
    await post('k', { a: 1 });
    await post('k', { a: 1 });
    await post('k', { a: 2 });

    expect(Object.fromEntries(app.app.get(IdempotencyService).counters())).toEqual({
      claimed: 1,
      completed: 1,
      replayed: 2,
      'key-reused': 1,
    });
  });
});

describe.each(platforms)('the log on %s', (platform) => {
  it('names operation, record and attempt of what goes wrong, and never a key, a body or a user', async () => {
    const lines: string[] = [];
    const add = (...parts: unknown[]) => void lines.push(parts.map(String).join(' '));
    const capture = { log: add, warn: add, error: add, debug: add, verbose: add, fatal: add };
    class Authentication implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        context.switchToHttp().getRequest<{ user: unknown }>().user = { id: 'secret-user' };
        return true;
      }
    }
    const clock = new FakeClock();
    const storage = faultyStorage(new MemoryStorage({ clock }));
    const gate = new Gate();
    let runs = 0;
    const handler = async () => ((runs += 1) === 1 ? gate.pass() : { secret: 'secret-answer' });
    const app = await start(platform, {
      controllers: [ordersController(handler, { storageTimeout: '100ms', onStorageFailure: 'run' })],
      providers: [{ provide: APP_GUARD, useClass: Authentication }],
      options: { storage, storageTimeout: '100ms' },
      prepare: () => Logger.overrideLogger(capture),
    });
    const other = await start(platform, {
      controllers: [ordersController(handler)],
      providers: [{ provide: APP_GUARD, useClass: Authentication }],
      options: { storage },
      prepare: () => Logger.overrideLogger(capture),
    });
    const post = (target: typeof app, key: string) =>
      send(target, '/orders', { key, body: { card: 'secret-card' } });

    const first = post(app, 'secret-key');
    await gate.reached();
    await clock.advance(30_000);
    await post(other, 'secret-key');
    gate.open();
    await first;
    storage.rejectNext('claim', Infinity);
    await post(app, 'secret-2');
    storage.heal();
    storage.rejectNext('complete', Infinity);
    await post(app, 'secret-3');
    storage.heal();

    const service = app.app.get(IdempotencyService);
    const id = service.recordId({ operation: 'POST /orders', scope: 'secret-user', key: 'secret-key' });
    const named = id.slice(id.lastIndexOf('|') + 1).slice(0, 12);
    const text = lines.join('\n');
    expect(text).toContain(`takes its place. [POST /orders, record ${named}, attempt 2, correlation `);
    expect(text).toContain(`was not stored. [POST /orders, record ${named}, attempt 1, correlation `);
    expect(text).toContain('The handler ran without protection.');
    expect(text).toContain('could not be stored in time');
    expect(text).not.toContain('secret');
  });
});
