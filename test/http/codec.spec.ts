import {
  Body,
  Controller,
  Logger,
  Post,
  RequestTimeoutException,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
} from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  encryptedCodec,
  gzipCodec,
  Idempotent,
  IdempotencyService,
  StorageUnavailableError,
  type Codec,
  type IdempotencyModuleOptions,
} from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { Gate } from 'nestjs-idempotent/testing';
import { RESP_TYPES } from 'redis';
import { throwError, timeout } from 'rxjs';
import { connectAdmin, type AdminClient } from '../support/redis-fixture.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { platforms, start, type RunningApp } from './support/apps.js';
import { eventually } from './support/eventually.js';
import { ordersController } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, send } from './support/requests.js';

const key = (id: string, fill: number) => ({ id, secret: Buffer.alloc(32, fill) });
const codec = [gzipCodec(), encryptedCodec({ keys: [key('2026-11', 1)] })];
const body = { card: '4242-4242' };
/** What must not be found in the storage. */
const SECRET = '4242';
const big = { card: SECRET.repeat(1000), receipt: 'x'.repeat(3000) };

let redis: RedisServer;
let admin: AdminClient;

beforeAll(async () => {
  redis = await startRedis();
  admin = await connectAdmin(redis.url);
});
afterAll(async () => {
  await admin.close();
  await redis.stop();
});
beforeEach(() => admin.flushAll());

const over = (options: IdempotencyModuleOptions): IdempotencyModuleOptions => ({
  namespace: 'shop',
  storage: redisStorage({ url: redis.url }),
  ...options,
});

/** Every byte that Redis holds, its keys too. */
async function atRest(): Promise<Buffer> {
  const bytes = admin.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const keys = await admin.keys('*');
  const values = await Promise.all(keys.map((name) => bytes.get(name)));
  return Buffer.concat([Buffer.from(keys.join()), ...values.map((value) => value ?? Buffer.alloc(0))]);
}

describe.each(platforms)('a recorded response with a codec, on %s', (platform) => {
  let runs: number;
  beforeEach(() => void (runs = 0));
  const orders = (answer: object = body) =>
    ordersController((_body, op) => {
      op.setResource('order', `secret-${(runs += 1)}`);
      return answer;
    });
  const startOrders = (options: IdempotencyModuleOptions, answer?: object) =>
    start(platform, { controllers: [orders(answer)], options: over(options) });

  it.each([
    ['gzip', [gzipCodec()], big],
    ['encryption', encryptedCodec({ keys: [key('a', 1)] }), body],
    ['both', codec, big],
  ])('is replayed from another process byte for byte (%s)', async (_what, given, answer) => {
    const [one, other] = [
      await startOrders({ codec: given }, answer),
      await startOrders({ codec: given }, answer),
    ];
    const first = await send(one, '/orders', { key: 'k', body });
    for (const app of [one, other]) expectReplayOf(first, await send(app, '/orders', { key: 'k', body }));
    expect(first.json).toEqual(answer);
    expect(runs).toBe(1);
  });

  it('leaves nothing of body, headers and resource to be read in Redis, and without it everything is there', async () => {
    const plain = await startOrders({});
    await send(plain, '/orders', { key: 'k', body });
    const readable = await atRest();
    expect([SECRET, 'secret-1', 'application/json'].map((text) => readable.includes(text))).toEqual([
      true,
      true,
      true,
    ]);
    await admin.flushAll();

    const sealed = await startOrders({ codec });
    await send(sealed, '/orders', { key: 'k', body });
    const bytes = await atRest();
    expect(bytes.includes('shop|POST /orders|')).toBe(true);
    expect([SECRET, 'secret-2', 'application/json'].map((text) => bytes.includes(text))).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('takes as little memory in Redis as gzip makes of it', async () => {
    const size = async (options: IdempotencyModuleOptions): Promise<number> => {
      await admin.flushAll();
      await send(await startOrders(options, big), '/orders', { key: 'k', body });
      const [name = ''] = await admin.keys('*');
      return (await admin.memoryUsage(name)) ?? NaN;
    };
    const [plain, gzip] = [await size({}), await size({ codec: gzipCodec() })];
    expect(plain).toBeGreaterThan(7000);
    expect(gzip).toBeLessThan(plain / 10);
  });

  it('counts `maxResponseBytes` before the codec', async () => {
    const app = await startOrders({ codec, maxResponseBytes: 7000 }, big);
    expect((await send(app, '/orders', { key: 'k', body })).status).toBe(201);
    expectProblem(await send(app, '/orders', { key: 'k', body }), 409, 'result-not-replayable');
    expect(runs).toBe(1);
  });

  it('is not replayed and not run again when another key was put under its id', async () => {
    const app = await startOrders({ codec });
    const old = await startOrders({ codec: encryptedCodec({ keys: [key('2026-11', 9)] }) });
    await send(old, '/orders', { key: 'k', body });
    const errors: unknown[] = [];
    app.app.get(IdempotencyService).events$.subscribe(({ error }) => errors.push(error));

    expectProblem(await send(app, '/orders', { key: 'k', body }), 500, 'record-unreadable');
    expectProblem(await send(app, '/orders', { key: 'k', body: {} }), 422, 'key-reused');
    expect(runs).toBe(1);
    expect(errors[0]).toMatchObject({ message: expect.stringContaining("key '2026-11' does not open it") });
  });

  it('whose key is missing names the id of that key in the log, and no secret and nothing of the record', async () => {
    const lines: string[] = [];
    const options = over({ codec: encryptedCodec({ keys: [key('2026-12', 2)] }) });
    await send(await startOrders({ codec }), '/orders', { key: 'k', body });
    const app = await start(platform, {
      controllers: [orders()],
      options,
      prepare: () =>
        Logger.overrideLogger({ log: () => {}, warn: () => {}, error: (line: string) => lines.push(line) }),
    });

    expectProblem(await send(app, '/orders', { key: 'k', body }), 500, 'record-unreadable');
    expect(lines).toEqual([
      expect.stringContaining("encrypted with key '2026-11', which is not among `keys`"),
    ]);
    for (const secret of [
      SECRET,
      Buffer.alloc(8, 1).toString('hex'),
      Buffer.alloc(9, 2).toString('base64'),
    ]) {
      expect(lines[0]).not.toContain(secret);
    }
  });

  it('is not replayed under another key: a record that was copied there is refused', async () => {
    const app = await startOrders({ codec, fingerprint: false });
    await send(app, '/orders', { key: 'mine', body });
    await send(app, '/orders', { key: 'yours', body });
    const service = app.app.get(IdempotencyService);
    const id = (name: string) => service.recordId({ operation: 'POST /orders', key: name });
    await admin.copy(id('mine'), id('yours'), { REPLACE: true });

    expectProblem(await send(app, '/orders', { key: 'yours', body }), 500, 'record-unreadable');
    expect((await send(app, '/orders', { key: 'mine', body })).headers.get('idempotent-replayed')).toBe(
      'true',
    );
    expect(runs).toBe(2);
  });

  it('may have an own codec per operation, or none by `[]`, and operators read them all', async () => {
    const own = [ordersController(() => body, { codec: [], operation: 'open' })];
    const sealed = await start(platform, { controllers: own, options: over({ codec }) });
    await send(sealed, '/orders', { key: 'k', body });
    expect((await atRest()).includes(SECRET)).toBe(true);
    const service = sealed.app.get(IdempotencyService);
    expect(await service.inspect(service.recordId({ operation: 'open', key: 'k' }))).toMatchObject({
      result: 'response',
      status: 201,
    });
  });

  it('goes through a codec of one’s own, and is refused for now with 503 while that cannot tell', async () => {
    const kms = new KeyService();
    const app = await startOrders({ codec: kms, onStorageFailure: 'run', storageTimeout: '200ms' });
    const first = await send(app, '/orders', { key: 'k', body });
    expect((await atRest()).includes(SECRET)).toBe(false);
    kms.failure = new StorageUnavailableError('the key service is away');
    expectProblem(await send(app, '/orders', { key: 'k', body }), 503, 'storage-unavailable');
    kms.failure = undefined;
    kms.gate = new Gate();
    expectProblem(await send(app, '/orders', { key: 'k', body }), 503, 'storage-unavailable');
    kms.gate.open();
    expectReplayOf(first, await send(app, '/orders', { key: 'k', body }));
    expect(runs).toBe(1);
  });

  it('goes out as it is when its codec fails, is kept without its body, and never runs again', async () => {
    const kms = new KeyService();
    const app = await startOrders({ codec: kms });
    kms.failure = new Error('the key service said no');
    const first = await send(app, '/orders', { key: 'k', body });
    kms.failure = undefined;

    expect([first.status, first.json]).toEqual([201, body]);
    expectProblem(await send(app, '/orders', { key: 'k', body }), 409, 'result-not-replayable');
    expect(app.app.get(IdempotencyService).counters().get('codec-failed')).toBe(1);
    expect((await atRest()).includes(SECRET)).toBe(false);
    expect(runs).toBe(1);
  });
});

describe.each(platforms)('an outcome that came too late for its client, with a codec, on %s', (platform) => {
  it('is kept encrypted, and the first retry sends it from another process', async () => {
    const gate = new Gate();
    let runs = 0;
    @Controller('orders')
    class Orders {
      @Post()
      @UseInterceptors({
        intercept: (_: ExecutionContext, next: CallHandler) =>
          next
            .handle()
            .pipe(timeout({ first: 50, with: () => throwError(() => new RequestTimeoutException()) })),
      })
      @Idempotent()
      async create(@Body() _order: unknown) {
        runs += 1;
        await gate.pass();
        return body;
      }
    }
    const startOne = (): Promise<RunningApp> =>
      start(platform, { controllers: [Orders], options: over({ codec }) });
    const [one, other] = [await startOne(), await startOne()];
    expect((await send(one, '/orders', { key: 'k', body })).status).toBe(408);
    gate.open();
    const service = one.app.get(IdempotencyService);
    const id = service.recordId({ operation: 'POST /orders', key: 'k' });
    await eventually(async () => expect(await service.inspect(id)).toMatchObject({ running: false }));

    const kept = await atRest();
    expect([kept.includes('late'), kept.includes(SECRET)]).toEqual([true, false]);
    const retry = await send(other, '/orders', { key: 'k', body });
    expect([retry.status, retry.json]).toEqual([201, body]);
    expectReplayOf(retry, await send(one, '/orders', { key: 'k', body }));
    expect(runs).toBe(1);
  });
});

/** As one would ask a service that keeps the keys. */
class KeyService implements Codec {
  readonly name = 'key-service';
  failure: unknown;
  gate: Gate | undefined;

  encode(bytes: Uint8Array): Promise<Uint8Array> {
    return this.answer(bytes);
  }

  decode(bytes: Uint8Array): Promise<Uint8Array> {
    return this.answer(bytes);
  }

  private async answer(bytes: Uint8Array): Promise<Uint8Array> {
    await this.gate?.pass();
    if (this.failure !== undefined) throw this.failure as Error;
    return bytes.map((byte) => byte ^ 0xff);
  }
}
