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

  it('describes every column of the table that the migration makes', () => {
    const migration = readText('libs/idempotency/src/typeorm/migrations/create-idempotency-records.ts');
    const columns = [...migration.matchAll(/^ {2}(\w+) (?:text|smallint|integer|uuid|timestamp|bytea)\b/gm)];
    const rows = lines.filter((line) =>
      /^\| `(?:id|state|attempt|previous|owner|fingerprint|created_at|steps)/.test(line),
    );
    const described = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)]);
    expect(described.map(([, name]) => name).sort()).toEqual(columns.map(([, name]) => name).sort());
  });
});
