import { beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { encryptedCodec, gzipCodec, type Codec, type IdempotencyStorage } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { seededRandomness } from 'nestjs-idempotent/testing';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import type { DataSource } from 'typeorm';
import { usePostgres } from '../support/postgres-fixture.js';
import { useRedis } from '../support/redis-fixture.js';
import { job, startService } from '../http/support/services.js';

const PAGE = join(process.cwd(), 'docs/codecs.md');
const HEAD = '| JSON of the result |';

const encrypted = encryptedCodec({ keys: [{ id: '2026-11', secret: '55'.repeat(32) }] });
const CODECS: readonly (readonly [name: string, codec: readonly Codec[]])[] = [
  ['none', []],
  ['`gzipCodec()`', [gzipCodec()]],
  ['`encryptedCodec()`', [encrypted]],
  ['both', [gzipCodec(), encrypted]],
];
const ORDERS = [2, 8, 80, 800];

const redis = useRedis();
const postgres = usePostgres();
let dataSource: DataSource;

beforeAll(async () => {
  dataSource = await postgres.migrated();
});

/** Orders as an API answers them: names that repeat, and values that do not. */
function orders(count: number): object[] {
  const { fraction } = seededRandomness(7);
  const digits = (length: number) => Array.from({ length }, () => Math.floor(fraction() * 10)).join('');
  return Array.from({ length: count }, () => ({
    id: `ord_${digits(20)}`,
    status: fraction() < 0.8 ? 'paid' : 'pending',
    createdAt: new Date(Math.floor(fraction() * 1e12)).toISOString(),
    items: [{ sku: `A-${digits(3)}`, quantity: Math.ceil(fraction() * 5), priceInCents: Number(digits(4)) }],
  }));
}

async function keep(storage: IdempotencyStorage, codec: readonly Codec[], value: object[]): Promise<string> {
  const service = await startService({ storage, namespace: 'sizes', codec });
  await service.run(job('k'), () => value);
  expect(service.counters().get('codec-failed')).toBeUndefined();
  return service.recordId(job('k'));
}

async function inRedis(codec: readonly Codec[], value: object[]): Promise<number> {
  await redis.admin.flushAll();
  const id = await keep(redisStorage({ url: redis.server.url }), codec, value);
  return (await redis.admin.memoryUsage(id)) ?? NaN;
}

async function inPostgres(codec: readonly Codec[], value: object[]): Promise<number> {
  await dataSource.query('delete from idempotency_records');
  await keep(typeOrmStorage({ dataSource, purgeEvery: false }), codec, value);
  const [row] = await dataSource.query<{ bytes: number }[]>(
    'select pg_column_size(result) as bytes from idempotency_records',
  );
  return row?.bytes ?? NaN;
}

const shown = (bytes: number) => bytes.toLocaleString('en-US');
const cellsOf = (line: string) => line.split('|').map((cell) => cell.trim());

describe('the table of sizes in docs/codecs.md', () => {
  it('is what Redis and PostgreSQL take, within 5 %', async () => {
    const measured: string[][] = [];
    for (const count of ORDERS) {
      const value = orders(count);
      const json = shown(JSON.stringify(value).length);
      for (const [name, codec] of CODECS) {
        const sizes = [await inRedis(codec, value), await inPostgres(codec, value)];
        measured.push([json, name, ...sizes.map(shown)]);
      }
    }
    if (process.env['UPDATE_DOCS'] === '1') await update(measured);
    const lines = readFileSync(PAGE, 'utf8').split('\n');
    const from = lines.findIndex((line) => line.startsWith(HEAD)) + 2;
    const said = lines.slice(from, from + measured.length).map((line) => cellsOf(line).slice(1, 5));
    expect(said.map(([json, name]) => [json, name])).toEqual(measured.map(([json, name]) => [json, name]));
    const numbers = (rows: (string | undefined)[][]) =>
      rows.flatMap(([, , ...sizes]) => sizes.map((size) => Number(size?.replaceAll(',', ''))));
    const now = numbers(measured);
    for (const [at, then] of numbers(said).entries())
      expect(Math.abs(then / (now[at] ?? NaN) - 1)).toBeLessThan(0.05);
  }, 120_000);
});

/** UPDATE_DOCS=1 writes the rows. */
async function update(measured: readonly (readonly string[])[]): Promise<void> {
  const lines = readFileSync(PAGE, 'utf8').split('\n');
  const from = lines.findIndex((line) => line.startsWith(HEAD)) + 2;
  let to = from;
  while (lines[to]?.startsWith('|')) to += 1;
  lines.splice(from, to - from, ...measured.map((cells) => `| ${cells.join(' | ')} |`));
  const options = await resolveConfig(PAGE);
  writeFileSync(PAGE, await format(lines.join('\n'), { ...options, filepath: PAGE }));
}
