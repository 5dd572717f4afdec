import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { IdempotencyModule } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { CreateIdempotencyRecords1795305600000, typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { DataSource } from 'typeorm';
import { startApp, type RunningApp } from '../support/apps.js';
import { startPostgres, type PostgresServer } from '../support/postgres-server.js';
import { commandCalls, connectAdmin, type AdminClient } from '../support/redis-fixture.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { CountingController, postOrder } from './counting.controller.js';

describe('round trips of a request on Redis', () => {
  let redis: RedisServer;
  let admin: AdminClient;
  let app: RunningApp;

  beforeAll(async () => {
    redis = await startRedis();
    admin = await connectAdmin(redis.url);
    const imports = [
      IdempotencyModule.forRoot({ namespace: 'trips', storage: redisStorage({ url: redis.url }) }),
    ];
    app = await startApp('express', { imports, controllers: [CountingController] });
  });
  afterAll(async () => {
    await app.close();
    await admin.close();
    await redis.stop();
  });

  it('are two for the first, one for a replay', async () => {
    const evalsha = async () => (await commandCalls(admin))['evalsha'] ?? 0;
    const start = await evalsha();
    expect((await postOrder(app.url, 'k')).status).toBe(201);
    const afterFirst = await evalsha();
    expect((await postOrder(app.url, 'k')).headers.get('idempotent-replayed')).toBe('true');
    expect([afterFirst - start, (await evalsha()) - afterFirst]).toEqual([2, 1]);
  });
});

describe('statements of a request on PostgreSQL', () => {
  let postgres: PostgresServer;
  let dataSource: DataSource;
  let app: RunningApp;

  beforeAll(async () => {
    postgres = await startPostgres({ args: ['-c', 'log_statement=all'] });
    const address = await postgres.createDatabase('trips');
    dataSource = new DataSource({
      type: 'postgres',
      url: address.url,
      migrations: [CreateIdempotencyRecords1795305600000],
    });
    await dataSource.initialize();
    await dataSource.runMigrations();
    const storage = typeOrmStorage({ dataSource, purgeEvery: false });
    const imports = [IdempotencyModule.forRoot({ namespace: 'trips', storage })];
    app = await startApp('express', { imports, controllers: [CountingController] });
    // The control connections are opened by the first requests; what they say then is said once.
    await Promise.all(Array.from({ length: 4 }, (_, at) => postOrder(app.url, `warm-${at}`)));
  }, 60_000);
  afterAll(async () => {
    await app.close();
    await dataSource.destroy();
    await postgres.stop();
  });

  it('are two for the first, one for a replay', async () => {
    const statements = () => postgres.log().match(/LOG: {2}(?:statement|execute [^:]*):/g)?.length ?? 0;
    const start = statements();
    expect((await postOrder(app.url, 'k')).status).toBe(201);
    const afterFirst = statements();
    expect((await postOrder(app.url, 'k')).headers.get('idempotent-replayed')).toBe('true');
    expect([afterFirst - start, statements() - afterFirst]).toEqual([2, 1]);
  });
});
