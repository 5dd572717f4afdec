import { afterEach, describe, expect, it } from '@jest/globals';
import {
  ClientProxyFactory,
  Transport,
  type ClientProxy,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import {
  IdempotencyModule,
  IdempotencyService,
  memoryStorage,
  type IdempotencyStorage,
} from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { lastValueFrom } from 'rxjs';
import { eventually } from '../http/support/eventually.js';
import { useRedis } from '../support/redis-fixture.js';
import { consumer, type Handle } from './support/one-consumer.js';

describe('messages that come through Redis', () => {
  const redis = useRedis();
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  const transport = () => {
    const { hostname, port } = new URL(redis.server.url);
    return { transport: Transport.REDIS, options: { host: hostname, port: Number(port) } } as const;
  };

  async function start(handle: Handle, storage: IdempotencyStorage): Promise<IdempotencyService> {
    const imports = [IdempotencyModule.forRoot({ storage, namespace: 'shop' })];
    const testing = await Test.createTestingModule({ imports, controllers: [consumer(handle)] }).compile();
    const app = testing.createNestMicroservice<MicroserviceOptions>({ ...transport(), logger: false });
    closers.push(() => app.close());
    await app.listen();
    return app.get(IdempotencyService);
  }

  function connect(): ClientProxy {
    const client = ClientProxyFactory.create(transport());
    closers.push(() => client.close());
    return client;
  }

  it('run once per key, under the name of the transport', async () => {
    let runs = 0;
    const service = await start(() => ({ run: ++runs }), memoryStorage());
    const client = connect();
    const send = () => lastValueFrom(client.send<unknown, unknown>('orders.create', { id: 'm1' }));

    expect([await send(), await send()]).toEqual([{ run: 1 }, { run: 1 }]);
    const id = service.recordId({ operation: 'redis orders.create', key: 'm1' });
    expect((await service.inspect(id))?.state).toBe('completed');
  });

  it('run in one of all the processes to which Redis delivers an event', async () => {
    let runs = 0;
    const storage = () => redisStorage({ url: redis.server.url });
    const processes = [
      await start(() => void (runs += 1), storage()),
      await start(() => void (runs += 1), storage()),
      await start(() => void (runs += 1), storage()),
    ];

    await lastValueFrom(connect().emit('orders.created', { id: 'm1' }), { defaultValue: undefined });

    const counted = (type: 'completed' | 'replayed') =>
      processes.reduce((sum, service) => sum + (service.counters().get(type) ?? 0), 0);
    await eventually(() => expect([counted('completed'), counted('replayed')]).toEqual([1, 2]));
    expect(runs).toBe(1);
  });
});
