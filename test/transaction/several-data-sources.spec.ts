import { afterEach, beforeAll, expect, it } from '@jest/globals';
import { Controller, Logger, Post } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Idempotent, IdempotencyModule } from 'nestjs-idempotent';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { DataSource } from 'typeorm';
import { usePostgres } from '../support/postgres-fixture.js';

const postgres = usePostgres();
const lines: string[] = [];
const { warn } = Logger.prototype;
let orders: DataSource;
let reports: DataSource;

beforeAll(async () => {
  orders = await postgres.migrated();
  reports = await postgres.empty();
});
afterEach(() => {
  Logger.prototype.warn = warn;
  lines.length = 0;
});

/** What an application with two DataSources is told at boot. */
async function boot(transactional: boolean): Promise<readonly string[]> {
  @Controller()
  class Payments {
    @Post('pay')
    @Idempotent({ transactional })
    pay() {
      return {};
    }
  }
  Logger.prototype.warn = (line: string) => void lines.push(line);
  const storage = typeOrmStorage({ dataSource: orders, purgeEvery: false });
  const app = await Test.createTestingModule({
    imports: [IdempotencyModule.forRoot({ namespace: 'shop', storage })],
    controllers: [Payments],
    providers: [
      { provide: DataSource, useValue: orders },
      { provide: 'REPORTS', useValue: reports },
    ],
  }).compile();
  await app.init();
  await app.close();
  return [...lines];
}

it('an application is told at boot which of its DataSources are not in the transaction of a handler', async () => {
  expect(await boot(true)).toEqual([
    expect.stringMatching(
      new RegExp(`other DataSources: \`${String(reports.options.database)}\` \\(postgres\\)`),
    ),
  ]);
});

it('an application without transactional handlers is told nothing of it', async () => {
  expect(await boot(false)).toEqual([]);
});
