import { afterEach, describe, expect, it } from '@jest/globals';
import { Body, Controller, Post, type ModuleMetadata } from '@nestjs/common';
import { getDataSourceToken, InjectDataSource, TypeOrmModule } from '@nestjs/typeorm';
import { IdempotencyModule, Idempotent } from 'nestjs-idempotent';
import { CreateIdempotencyRecords1795305600000, typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { Column, DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm';
import { platforms, startApp, type RunningApp } from '../support/apps.js';
import { useSqlite, type SqliteOptions } from '../support/sqlite-fixture.js';
import { holdSqliteLock, watchEventLoop } from '../support/sqlite-lock.js';

const sqlite = useSqlite();

@Entity('orders')
class Order {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column('text')
  sku!: string;
}

@Controller('orders')
class OrdersController {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /** TypeORM gives all requests one connection to a SQLite file, so no transaction is opened here. */
  @Post()
  @Idempotent()
  async create(@Body() { sku }: { sku: string }): Promise<unknown> {
    if (sku === 'fail') throw new Error('failed');
    return (await this.dataSource.getRepository(Order).insert({ sku })).identifiers;
  }
}

function shop(orders: string, idempotency: ModuleMetadata['imports']): ModuleMetadata {
  const application: SqliteOptions = {
    type: 'better-sqlite3',
    database: orders,
    entities: [Order],
    synchronize: true,
    migrations: [CreateIdempotencyRecords1795305600000],
    migrationsRun: true,
  };
  return {
    imports: [TypeOrmModule.forRoot(application), ...(idempotency ?? [])],
    controllers: [OrdersController],
  };
}

/** As docs/storages.md shows it. */
function withFileOfItsOwn(orders: string, records: string): ModuleMetadata {
  return shop(orders, [
    TypeOrmModule.forRoot({
      name: 'idempotency',
      type: 'better-sqlite3',
      database: records,
      migrations: [CreateIdempotencyRecords1795305600000],
      migrationsRun: true,
    }),
    IdempotencyModule.forRootAsync({
      inject: [getDataSourceToken('idempotency')],
      useFactory: (dataSource: DataSource) => ({
        namespace: 'shop',
        scope: () => 'one',
        storage: typeOrmStorage({ dataSource }),
      }),
    }),
  ]);
}

const post = (app: RunningApp, key: string, sku = 'A-123') =>
  fetch(`${app.url}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ sku }),
  });

describe.each(platforms)(
  'an application whose records have a SQLite file of their own, on %s',
  (platform) => {
    let app: RunningApp | undefined;
    afterEach(async () => {
      await app?.close();
      app = undefined;
    });

    it('runs each key once, and one that failed again', async () => {
      const running = (app = await startApp(platform, withFileOfItsOwn(sqlite.path(), sqlite.path())));
      const statuses = await Promise.all(
        Array.from({ length: 20 }, async (_, place) => (await post(running, `key-${place % 4}`)).status),
      );
      expect(statuses.filter((status) => status !== 201 && status !== 409)).toEqual([]);
      for (let key = 0; key < 4; key += 1) {
        const replay = await post(running, `key-${key}`);
        expect(replay.status).toBe(201);
        expect(replay.headers.get('idempotent-replayed')).toBe('true');
      }
      for (let time = 0; time < 2; time += 1) {
        const failed = await post(running, 'failing', 'fail');
        expect(failed.status).toBe(500);
        expect(failed.headers.get('idempotent-replayed')).toBeNull();
      }
      const orders = running.app.get<DataSource>(getDataSourceToken()).getRepository(Order);
      expect(await orders.count()).toBe(4);
    });

    it('answers 503 within `storageTimeout` while somebody else has the file locked, and still replays', async () => {
      const records = sqlite.path();
      const running = (app = await startApp(platform, withFileOfItsOwn(sqlite.path(), records)));
      expect((await post(running, 'before')).status).toBe(201);
      const lock = await holdSqliteLock(records);
      const loop = watchEventLoop();
      const start = performance.now();
      const [refused, replay] = await Promise.all([post(running, 'during'), post(running, 'before')]);
      expect(refused.status).toBe(503);
      expect(await refused.json()).toMatchObject({ code: 'storage-unavailable' });
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      // One second is `storageTimeout`; the rest is a machine that is busy with other tests.
      expect(performance.now() - start).toBeLessThan(2500);
      expect(loop.end()).toBeLessThan(500);
      expect(replay.status).toBe(201);
      expect(replay.headers.get('idempotent-replayed')).toBe('true');
      await lock.end();
      expect((await post(running, 'after')).status).toBe(201);
    });
  },
);

describe('an application whose records would lie in its own SQLite file', () => {
  it('does not start, and is told why', async () => {
    const module = shop(sqlite.path(), [
      IdempotencyModule.forRoot({ namespace: 'shop', storage: typeOrmStorage() }),
    ]);
    await expect(startApp('express', module)).rejects.toThrow(
      /the DataSource of type 'better-sqlite3' is the application's own\. SQLite lets one transaction write at a time/,
    );
  });

  it('does not start with a second DataSource on that file either', async () => {
    const file = sqlite.path();
    await expect(startApp('express', withFileOfItsOwn(file, file))).rejects.toThrow(/uses the same file/);
  });
});
