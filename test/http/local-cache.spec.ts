import { Controller, Post } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import {
  encryptedCodec,
  Idempotent,
  IdempotencyService,
  memoryStorage,
  type IdempotencyModuleOptions,
} from 'nestjs-idempotent';
import { faultyStorage } from 'nestjs-idempotent/testing';
import { platforms, start } from './support/apps.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, send } from './support/requests.js';
import { job, startService } from './support/services.js';

const localCache = { maxBytes: 1_000_000, ttl: '1h' };
const body = { sku: 'A-123' };

describe.each(platforms)('replays with `localCache`, on %s', (platform) => {
  async function started(options: IdempotencyModuleOptions = {}) {
    const storage = faultyStorage(memoryStorage());
    const handler = countingHandler();
    const startOne = () =>
      start(platform, {
        controllers: [ordersController(handler)],
        options: { storage, localCache, ...options },
      });
    const [app, other] = [await startOne(), await startOne()];
    const post = (to = app) => send(to, '/orders', { key: 'k', body });
    /** What the next requests ask of the storage. */
    const asked = async (requests: () => Promise<unknown>) => {
      storage.clearCalls();
      await requests();
      return storage.calls().map(({ method }) => method);
    };
    return { app, other, handler, post, asked, storage, service: app.app.get(IdempotencyService) };
  }

  it('ask the storage for nothing where the record was completed, and once in another process', async () => {
    const { other, post, asked, service, handler } = await started();
    const first = await post();
    expect(await asked(async () => expectReplayOf(first, await post()))).toEqual([]);
    expect(await asked(async () => expectReplayOf(first, await post(other)))).toEqual(['claim']);
    expect(await asked(async () => expectReplayOf(first, await post(other)))).toEqual([]);
    expect(service.counters().get('replayed')).toBe(1);
    expect(handler.runs).toBe(1);
  });

  it('refuse another request first, and go on while the storage is down', async () => {
    const { app, post, storage } = await started();
    const first = await post();
    storage.rejectNext('claim', Infinity);
    expectReplayOf(first, await post());
    expectProblem(await send(app, '/orders', { key: 'k', body: {} }), 422, 'key-reused');
    expectProblem(await send(app, '/orders', { key: 'new', body }), 503, 'storage-unavailable');
  });

  it('end here as soon as the record is forgotten here; elsewhere it is answered for `ttl`', async () => {
    const { other, post, service, handler } = await started();
    const first = await post();
    await post(other);
    await service.forget(service.recordId({ operation: 'POST /orders', key: 'k' }));

    expectReplayOf(first, await post(other));
    expect((await post()).json).toEqual({ id: 'order-2' });
    expect(handler.runs).toBe(2);
  });

  it('end also when the storage has forgotten it too late for the caller', async () => {
    const { post, service, storage } = await started({ storageTimeout: '100ms' });
    await post();
    const held = storage.holdAnswer('forget');
    const id = service.recordId({ operation: 'POST /orders', key: 'k' });
    await expect(service.forget(id)).rejects.toMatchObject({ code: 'storage-unavailable' });
    held.open();
    expect((await post()).json).toEqual({ id: 'order-2' });
  });

  it('work with a codec, and with answers by value', async () => {
    const codec = encryptedCodec({ keys: [{ id: 'k', secret: '33'.repeat(32) }] });
    const { post, asked, service } = await started({ codec });
    const first = await post();
    expect(await asked(async () => expectReplayOf(first, await post()))).toEqual([]);
    await service.run(job('k'), () => ({ done: true }));
    expect(
      await asked(async () =>
        expect(await service.run(job('k'), () => 'never')).toEqual({ value: { done: true }, replayed: true }),
      ),
    ).toEqual([]);
  });

  it('are switched off, or kept in a cache of its own, by the decorator', async () => {
    const storage = faultyStorage(memoryStorage());
    @Controller()
    class Routes {
      @Post('shared')
      @Idempotent()
      shared() {
        return 'shared';
      }
      @Post('off')
      @Idempotent({ localCache: false })
      off() {
        return 'off';
      }
      @Post('small')
      @Idempotent({ localCache: { maxBytes: 1200, ttl: '1h' } })
      small() {
        return 'small';
      }
    }
    const app = await start(platform, { controllers: [Routes], options: { storage, localCache } });
    const trips = async (path: string, key: string) => {
      storage.clearCalls();
      await send(app, path, { key });
      return storage.calls('claim').length;
    };
    for (const path of ['/shared', '/off', '/small']) for (const key of ['a', 'b']) await trips(path, key);
    expect([await trips('/shared', 'a'), await trips('/shared', 'b')]).toEqual([0, 0]);
    expect([await trips('/off', 'a'), await trips('/off', 'b')]).toEqual([1, 1]);
    // Room for one.
    expect([await trips('/small', 'b'), await trips('/small', 'a'), await trips('/small', 'b')]).toEqual([
      0, 1, 1,
    ]);
  });

  it('are not asked for when somebody decides about a record', async () => {
    const { other, post, service, storage } = await started();
    await post();
    const there = other.app.get(IdempotencyService);
    const id = service.recordId({ operation: 'POST /orders', key: 'k' });
    const fingerprint = (await service.inspect(id))?.fingerprint ?? '';
    // Another process removes it, runs, and gives up.
    await there.forget(id);
    const claim = { id, ownerToken: 'x' };
    await storage.claim(id, { ...claim, fingerprint, leaseMs: 1000, keepMs: 60_000, takeOver: true });
    await storage.release(claim, { forget: false });

    await service.resolve(id, { status: 202, body: { decided: true } });
    const retry = await post();
    expect([retry.status, retry.json]).toEqual([202, { decided: true }]);
  });
});

describe('jobs with `localCache`', () => {
  it('ask the storage for nothing once their result is known', async () => {
    const storage = faultyStorage(memoryStorage());
    const service = await startService({ storage, localCache });
    await service.run(job('k'), () => ({ done: true }));
    storage.clearCalls();
    expect(await service.run(job('k'), () => 'never')).toEqual({ value: { done: true }, replayed: true });
    expect(storage.calls()).toEqual([]);
    expect(service.counters().get('replayed')).toBe(1);
  });
});
