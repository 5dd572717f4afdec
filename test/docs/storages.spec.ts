import { describe, expect, it } from '@jest/globals';
import { page, readText } from './support/markdown.js';

const { lines } = page('docs/storages.md');

describe('docs/storages.md', () => {
  it('lists the Redis commands that a test with such a user has found to be enough', () => {
    const tried = /'(\+evalsha [^']+)'/.exec(readText('test/storage/redis-start.spec.ts'))?.[1]?.split(' ');
    const listed = lines.find((line) => line.startsWith('ACL SETUSER'))?.split(' ') ?? [];
    expect(tried?.length).toBeGreaterThan(5);
    expect(tried?.filter((command) => !listed.includes(command))).toEqual([]);
  });

  it('lists the commands that a test with such a user on a Redis Cluster has found to be enough', () => {
    const source = readText('test/storage/redis-cluster-slots.spec.ts');
    const tried = /const COMMANDS = \[([^;]+)\];/.exec(source)?.[1]?.match(/\+[^']+/g) ?? [];
    const text = lines.join(' ');
    expect(tried).toContain('+asking');
    expect(tried.filter((command) => !text.includes(command))).toEqual([]);
  });

  it.each([
    ['## PostgreSQL with TypeORM', 'postgres'],
    ['## MariaDB with TypeORM', 'mariadb'],
  ])('describes every column of the table that the migration makes: %s', (heading, folder) => {
    const sql = readText(`libs/idempotency/src/typeorm/${folder}/create-table.ts`);
    const columns = [
      ...sql.matchAll(
        /^ {2}(\w+) (?:text|smallint|integer|uuid|timestamp|bytea|varbinary|tinyint|int|char|bigint|longblob)\b/gm,
      ),
    ];
    const start = lines.indexOf(heading);
    const end = lines.findIndex((line, at) => at > start && line.startsWith('## '));
    const rows = lines
      .slice(start, end)
      .filter((line) => /^\| `(?:id|state|attempt|previous|owner|fingerprint|created_at|steps)/.test(line));
    const described = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)]);
    expect(columns.length).toBeGreaterThan(10);
    expect(described.map(([, name]) => name).sort()).toEqual(columns.map(([, name]) => name).sort());
  });
});
