import { describe, expect, it } from '@jest/globals';
import { Controller, Post } from '@nestjs/common';
import {
  encryptedCodec,
  gzipCodec,
  Idempotent,
  IdempotencyService,
  memoryStorage,
  type Codec,
  type IdempotencyStorage,
} from 'nestjs-idempotent';
import { start } from './support/apps.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { expectProblem, send } from './support/requests.js';
import { codeOf, job, startService } from './support/services.js';

const keys = [{ id: 'k1', secret: '11'.repeat(32) }];
const codec = [gzipCodec(), encryptedCodec({ keys })];
const own = encryptedCodec({ keys: [{ id: 'own', secret: '22'.repeat(32) }] });

async function resultAt(storage: IdempotencyStorage, id: string): Promise<string> {
  return Buffer.from((await storage.get(id))?.result ?? []).toString('latin1');
}

describe('jobs with a codec', () => {
  it('keep their results encoded and replay them, also in another process', async () => {
    const storage = memoryStorage();
    const [one, other] = [await startService({ storage, codec }), await startService({ storage, codec })];
    const value = { card: '4242', nothing: null };
    await one.run(job('k'), () => value);

    expect(await resultAt(storage, one.recordId(job('k')))).not.toContain('4242');
    for (const service of [one, other]) {
      expect(await service.run(job('k'), () => 'never')).toEqual({ value, replayed: true });
    }
  });

  it('are refused without the codec, and do not run again', async () => {
    const storage = memoryStorage();
    await (await startService({ storage, codec })).run(job('k'), () => 'done');
    expect(await codeOf((await startService({ storage })).run(job('k'), () => 'never'))).toBe(
      'record-unreadable',
    );
  });
});

describe('an operator of an app with codecs', () => {
  it('sees what a record is, and finds it by the resource that it names', async () => {
    const service = await startService({ storage: memoryStorage(), codec });
    await service.run(job('k'), (op) => void op.setResource('invoice', 7));
    await service.run(job('k2'), (op) => void op.setResource('invoice', 8));

    expect(await service.inspect(service.recordId(job('k')))).toMatchObject({
      result: 'value',
      resource: { type: 'invoice', id: '7' },
    });
    const found = [];
    for await (const { id } of service.find({ resource: { type: 'invoice', id: '8' } })) found.push(id);
    expect(found).toEqual([service.recordId(job('k2'))]);
  });

  it('sees a record that nobody can read as unreadable, and can remove it', async () => {
    const storage = memoryStorage();
    const lost = await startService({ storage, codec: own });
    await lost.run(job('k'), () => 'done');
    const service = await startService({ storage, codec });
    const id = service.recordId(job('k'));

    expect(await service.inspect(id)).toMatchObject({ state: 'completed', result: 'unreadable', attempt: 1 });
    expect(await codeOf(service.run(job('k'), () => 'never'))).toBe('record-unreadable');
    expect(await service.forget(id)).toBe(true);
    expect((await service.run(job('k'), () => 'again')).replayed).toBe(false);
  });

  it('sees a record as unreadable after `storageTimeout` while its codec hangs, and as it is when that answers', async () => {
    const storage = memoryStorage();
    let decode: () => Promise<Uint8Array> = () => Promise.reject(new Error('never asked'));
    const kms: Codec = {
      name: 'kms',
      encode: (bytes) => {
        decode = () => Promise.resolve(bytes);
        return Buffer.concat([Buffer.from([0x01]), bytes]);
      },
      decode: () => decode(),
    };
    const service = await startService({ storage, codec: kms, storageTimeout: '100ms' });
    await service.run(job('k'), () => 'done');
    const id = service.recordId(job('k'));
    const answers = decode;

    decode = () => new Promise(() => {});
    expect(await service.inspect(id)).toMatchObject({ state: 'completed', result: 'unreadable' });
    decode = answers;
    expect(await service.inspect(id)).toMatchObject({ state: 'completed', result: 'value' });
  });

  it('decides with the codec of the operation, and the decision is replayed', async () => {
    const storage = memoryStorage();
    const failing = ordersController(
      () => {
        throw new Error('a bug');
      },
      { codec: own, operation: 'order' },
    );
    const app = await start('express', { controllers: [failing], options: { storage, codec } });
    const service = app.app.get(IdempotencyService);
    const id = service.recordId({ operation: 'order', key: 'k' });
    expect((await send(app, '/orders', { key: 'k', body: {} })).status).toBe(500);

    await service.resolve(id, { status: 201, body: { card: '4242' } });

    expect(await resultAt(storage, id)).not.toContain('4242');
    const retry = await send(app, '/orders', { key: 'k', body: {} });
    expect([retry.status, retry.json]).toEqual([201, { card: '4242' }]);
  });

  it('is told when an operation’s codec is not known before its first request; one retry makes it known', async () => {
    const storage = memoryStorage();
    const handler = countingHandler();
    @Controller('orders')
    class Orders {
      @Post()
      @Idempotent({ codec: own, onAbandoned: 'refuse' })
      create() {
        handler();
        throw new Error('a bug');
      }
    }
    const options = { storage, codec };
    const before = await start('express', { controllers: [Orders], options });
    await send(before, '/orders', { key: 'k', body: {} });
    const app = await start('express', { controllers: [Orders], options });
    const service = app.app.get(IdempotencyService);
    const id = service.recordId({ operation: 'POST /orders', key: 'k' });

    await expect(service.resolve(id, { value: 1 })).rejects.toThrow(
      'which one POST /orders has is not known in this process before its first request',
    );
    await send(app, '/orders', { key: 'k', body: {} });
    await service.resolve(id, { value: { id: 'order-9' } });
    expect((await send(app, '/orders', { key: 'k', body: {} })).json).toEqual({ id: 'order-9' });
  });

  it('is not shown what was forged: an operation that encrypts reads nothing else', async () => {
    const storage = memoryStorage();
    const app = await start('express', {
      controllers: [ordersController(countingHandler(), { codec: own, operation: 'order' })],
      options: { storage },
    });
    const service = app.app.get(IdempotencyService);
    const id = service.recordId({ operation: 'order', key: 'k' });
    await send(app, '/orders', { key: 'k', body: {} });
    const fingerprint = (await service.inspect(id))?.fingerprint ?? '';
    await service.forget(id);
    const forger = await startService({ storage });
    const terms = { ownerToken: 'forger', fingerprint, leaseMs: 1, keepMs: 60_000, takeOver: true };
    await forger.run(job('k'), () => ({ id: 'forged' }));
    const forged = (await storage.get(forger.recordId(job('k'))))?.result ?? new Uint8Array(0);
    await storage.claim(id, terms);
    await storage.complete({ id, ownerToken: 'forger' }, forged, 60_000);

    expect(await service.inspect(id)).toMatchObject({ result: 'unreadable' });
    expectProblem(await send(app, '/orders', { key: 'k', body: {} }), 500, 'record-unreadable');
  });
});
