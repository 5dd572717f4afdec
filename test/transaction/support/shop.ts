import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import { Controller, Post, Res, UseInterceptors, type NestInterceptor, type Type } from '@nestjs/common';
import {
  Idempotent,
  IdempotentOp,
  IdempotentOperation,
  IdempotencyService,
  type IdempotencyModuleOptions,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { DataSource, EntitySchema, type DataSourceOptions, type Repository } from 'typeorm';
import { start, type AppOptions, type RunningApp } from '../../http/support/apps.js';
import type { Platform } from '../../support/apps.js';
import { eventually } from '../../support/postgres-fixture.js';

export type DatabaseName = 'PostgreSQL' | 'MariaDB';

/** What a handler has done: one row each. */
export interface Effect {
  id: number;
  what: string;
  attempt: number;
}

export const EffectSchema = new EntitySchema<Effect>({
  name: 'Effect',
  tableName: 'effects',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    what: { type: 'varchar', length: 100 },
    attempt: { type: 'int' },
  },
});

/** What both fixtures of databases can do. */
interface Fixture {
  migrated(options?: Partial<DataSourceOptions>): Promise<DataSource>;
}

/** The database of an application whose handlers have effects in it, and that application. */
export interface Shop {
  readonly dataSource: DataSource;
  /** Of somebody else, to look at what is committed. */
  readonly outside: DataSource;
  readonly effects: Repository<Effect>;
  /** What is committed, in order, as `what` and the number of the attempt. */
  committed(): Promise<readonly string[]>;
  open(platform: Platform, app: AppOptions): Promise<OpenShop>;
}

export interface OpenShop extends RunningApp {
  readonly service: IdempotencyService;
  readonly events: readonly string[];
  /** The state of the only record, or what it has come to. */
  record(): Promise<'none' | 'completed' | 'released' | 'running' | 'expired'>;
}

export const POOL_SIZE = 5;

/** For a whole suite: each test begins without effects and records, and ends with every connection back in the pool. */
export function useShop(
  fixture: Fixture,
  options: () => Promise<Partial<DataSourceOptions>> | Partial<DataSourceOptions> = () => ({}),
): Shop {
  const shop = {} as { -readonly [K in keyof Shop]: Shop[K] };
  beforeAll(async () => {
    shop.outside = await fixture.migrated({ entities: [EffectSchema] });
    await shop.outside.synchronize();
    const given = {
      ...shop.outside.options,
      migrations: [],
      migrationsRun: false,
      poolSize: POOL_SIZE,
      url: undefined,
    };
    shop.dataSource = await new DataSource({
      ...given,
      ...(await options()),
    } as DataSourceOptions).initialize();
    shop.effects = shop.dataSource.getRepository(EffectSchema);
  }, 30_000);
  beforeEach(async () => {
    for (const table of ['effects', 'idempotency_records']) await shop.outside.query(`delete from ${table}`);
  });
  afterEach(() => expectIdle(shop.dataSource));
  afterAll(() => shop.dataSource.destroy());
  shop.committed = async () => {
    const rows = await shop.outside.getRepository(EffectSchema).find({ order: { id: 'asc' } });
    return rows.map(({ what, attempt }) => `${what} ${attempt}`);
  };
  shop.open = async (platform, app) => {
    const { dataSource } = shop;
    const options: IdempotencyModuleOptions = {
      namespace: 'shop',
      storage: typeOrmStorage({ dataSource, purgeEvery: false }),
      ...app.options,
    };
    const running = await start(platform, { ...app, options });
    const service = running.app.get(IdempotencyService);
    const events: string[] = [];
    service.events$.subscribe(({ type }) => events.push(type));
    return { ...running, service, events, record: () => stateOf(service) };
  };
  return shop;
}

async function stateOf(service: IdempotencyService): ReturnType<OpenShop['record']> {
  for await (const { state, running, abandoned } of service.find()) {
    if (state === 'completed') return 'completed';
    return running ? 'running' : abandoned ? 'expired' : 'released';
  }
  return 'none';
}

interface PgPool {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
}

interface MySqlPool {
  readonly _allConnections: { readonly length: number };
  readonly _freeConnections: { readonly length: number };
  readonly _connectionQueue: { readonly length: number };
}

/** How many connections of the pool are in somebody's hands, and how many wait for one. */
export function inUse(dataSource: DataSource): { taken: number; waiting: number } {
  const { master, pool } = dataSource.driver as unknown as { master?: PgPool; pool?: MySqlPool };
  if (pool !== undefined) {
    return {
      taken: pool._allConnections.length - pool._freeConnections.length,
      waiting: pool._connectionQueue.length,
    };
  }
  if (master === undefined) throw new Error('no pool is known');
  return { taken: master.totalCount - master.idleCount, waiting: master.waitingCount };
}

/** Nobody holds a connection any more. */
export async function expectIdle(dataSource: DataSource): Promise<void> {
  if (!dataSource.isInitialized) return;
  await eventually(() => expect(inUse(dataSource)).toEqual({ taken: 0, waiting: 0 }));
}

export type Handler = (op: IdempotentOperation) => unknown;

/** A controller with one route, `POST /<path>`, whose handler runs in a transaction. */
export function transactional(
  path: string,
  handler: Handler,
  { inside = [], ...options }: IdempotentOptions & { readonly inside?: NestInterceptor[] } = {},
): Type {
  @Controller()
  class Transactional {
    @Post(path)
    @UseInterceptors(...inside)
    @Idempotent({ transactional: true, ...options })
    handle(@IdempotentOp() op: IdempotentOperation): unknown {
      return handler(op);
    }
  }
  return Transactional;
}

/** What handlers use of a response, on either platform. */
export interface AnyResponse {
  readonly raw?: AnyResponse;
  status(code: number): AnyResponse;
  send(body: unknown): unknown;
  write(chunk: string): boolean;
  end(chunk?: string): unknown;
}

/** The same for a handler that answers by itself. */
export function answering(
  path: string,
  handler: (response: AnyResponse, op: IdempotentOperation) => unknown,
  options: IdempotentOptions = {},
): Type {
  @Controller()
  class Answering {
    @Post(path)
    @Idempotent({ transactional: true, ...options })
    handle(@Res() response: AnyResponse, @IdempotentOp() op: IdempotentOperation): unknown {
      return handler(response, op);
    }
  }
  return Answering;
}
