import { beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { RecordUnreadableError, StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { claimRequest, eventually, listeningHost, newClaim } from '../support/postgres-fixture.js';
import { openConnection } from '../support/sqlite-faulty-sql.js';
import { useSqlite } from '../support/sqlite-fixture.js';
import { watchEventLoop } from '../support/sqlite-lock.js';

const HOUR_MS = 3_600_000;
const sqlite = useSqlite();

describe('a record in SQLite', () => {
  let dataSource: DataSource;
  let storage: IdempotencyStorage;
  beforeAll(async () => {
    dataSource = await sqlite.migrated();
    storage = await sqlite.storage({ dataSource });
  });

  it('is on the disk when the call is answered: each commit waits for it, in a write-ahead log', async () => {
    const connection = await openConnection(dataSource);
    const [mode, synchronous] = await connection.read((run) => [
      run('select journal_mode as value from pragma_journal_mode', []).rows[0],
      run('select synchronous as value from pragma_synchronous', []).rows[0],
    ]);
    expect([mode, synchronous]).toEqual([{ value: 'wal' }, { value: 2 }]);
    await connection.close();
  });

  it('has an id that differs by case, by NUL and by what comes after it', async () => {
    const { id } = newClaim();
    const ids = ['key', 'Key', 'KEY', 'k\0ey', 'k\\0ey', 'k\0', 'k\0f', 'k', 'ké', 'ke\u0301'].map(
      (end) => `${id}${end}`,
    );
    for (const one of ids)
      expect(await storage.claim(one, claimRequest())).toMatchObject({ kind: 'claimed', attempt: 1 });
    for (const one of ids) expect(await storage.get(one)).toMatchObject({ id: one });
    const found: string[] = [];
    for await (const record of storage.find({ idPrefix: `${id}k\0` })) found.push(record.id);
    expect(found.sort()).toEqual([`${id}k\0`, `${id}k\0ey`, `${id}k\0f`]);
  });

  it('is found by a prefix that ends in the last character of all', async () => {
    const { id } = newClaim();
    const last = '\u{10ffff}';
    for (const end of ['', last, `${last}${last}`, `${last}x`]) await storage.claim(id + end, claimRequest());
    const found: string[] = [];
    for await (const record of storage.find({ idPrefix: id + last })) found.push(record.id);
    expect(found).toHaveLength(3);
  });

  it('keeps steps that are no text, and those that a forgotten takeover had found', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const first = newClaim({ leaseMs: 1 });
    const { id } = first;
    await storage.claim(id, first.request);
    for (const name of ['a\0b', '', 'mail']) await storage.saveStep(first.claim, name, bytes);
    await sleep(20);
    const second = claimRequest();
    expect(await storage.claim(id, second)).toMatchObject({ attempt: 2, previous: 'expired' });
    await storage.saveStep({ id, ownerToken: second.ownerToken }, 'mail', Buffer.from('other'));
    expect(await storage.release({ id, ownerToken: second.ownerToken }, { forget: true })).toBe('applied');
    const steps = [...((await storage.get(id))?.steps ?? [])];
    expect(steps.map(([name, value]) => [name, bytes.equals(value)])).toEqual([
      ['a\0b', true],
      ['', true],
      ['mail', true],
    ]);
    expect(await storage.complete(first.claim, bytes, HOUR_MS)).toBe('applied');
  });

  it('is renewed among two thousand in one call, while other things of the process go on', async () => {
    const claims = Array.from({ length: 2000 }, () => newClaim());
    await Promise.all(claims.map(({ id, request }) => storage.claim(id, request)));
    await storage.forget(claims[700]?.id ?? '');
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 0);
    const loop = watchEventLoop();
    const outcomes = await storage.renew(claims.map(({ claim }) => ({ claim, leaseMs: HOUR_MS })));
    expect(loop.end()).toBeLessThan(500);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
    expect(outcomes.flatMap((outcome, place) => (outcome === 'lease_lost' ? place : []))).toEqual([700]);
    expect(outcomes).toHaveLength(2000);
    expect((await storage.get(claims[1999]?.id ?? ''))?.leaseRemainingMs).toBeGreaterThan(60_000);
  });

  it('is walked over in pages that hold a few MiB, however large the results', async () => {
    const { id } = newClaim();
    const result = Buffer.alloc(1024 * 1024, 'x');
    for (let index = 0; index < 12; index += 1) {
      const { request } = newClaim();
      await storage.claim(`${id}${index}`, request);
      await storage.complete({ id: `${id}${index}`, ownerToken: request.ownerToken }, result, HOUR_MS);
    }
    let count = 0;
    for await (const record of storage.find({ idPrefix: id }))
      count += record.result?.length === result.length ? 1 : 0;
    expect(count).toBe(12);
  });

  it('is purged by the storage itself, from time to time', async () => {
    const own = await sqlite.migrated();
    const purging = await sqlite.storage({ dataSource: own, purgeEvery: '20ms' });
    await purging.claim('short', claimRequest({ leaseMs: 1, keepMs: 1 }));
    await purging.claim('long', claimRequest());
    await eventually(async () => {
      expect(await own.query('select id from idempotency_records')).toEqual([{ id: 'long' }]);
    });
  });

  it('is not reached any more when the storage has stopped, and its last calls are answered', async () => {
    const own = await sqlite.migrated();
    const stopping = await sqlite.storage({ dataSource: own });
    const last = stopping.claim('last', claimRequest());
    await stopping.stop?.();
    expect(await last).toMatchObject({ kind: 'claimed' });
    await expect(Promise.resolve().then(() => stopping.get('last'))).rejects.toBeInstanceOf(
      StorageUnavailableError,
    );
  });
});

describe('a row in SQLite that somebody has changed by hand', () => {
  let loose: DataSource;
  let careless: IdempotencyStorage;
  const host = listeningHost();

  beforeAll(async () => {
    loose = await sqlite.empty();
    await loose.query(`create table idempotency_records (id text primary key not null, state integer, attempt integer,
      previous integer, owner text, owner_found text, fingerprint text, created_at integer, lease_until integer,
      expires_at integer, steps_found integer, steps blob, result blob)`);
    careless = await sqlite.storage({ dataSource: loose }, host);
  });

  const snapshot = async (id: string): Promise<unknown> =>
    loose.query(
      `select state, attempt, owner, fingerprint, steps, result, lease_until <= unixepoch('subsec') * 1000 as over
       from idempotency_records where id = ?`,
      [id],
    );

  it.each([
    ['a state that does not exist', 'state = 7'],
    ['no state', 'state = null'],
    ['completed without a result', 'state = 1, result = null'],
    ['a result that is text', `state = 1, result = 'text'`],
    ['no end of its lease', 'lease_until = null'],
    ['no keeping time', 'expires_at = null'],
    ['no fingerprint', 'fingerprint = null'],
    ['no attempt', 'attempt = null, lease_until = 1'],
    ['an attempt below 1', 'attempt = -3, lease_until = 1'],
    ['damaged steps', `steps = x'00000001', lease_until = 1`],
    ['steps cut off', `steps = x'0000000100000009612a', owner = null, lease_until = 1`],
    ['steps that are text', `steps = 'text', owner = null, lease_until = 1`],
    ['a step whose name is no text', `steps = x'0000000100000000ff', lease_until = 1`],
  ])('%s: is reported, not claimed and not changed', async (_, change) => {
    const { id, request } = newClaim();
    await careless.claim(id, request);
    await loose.query(`update idempotency_records set ${change} where id = ?`, [id]);
    const before = await snapshot(id);
    for (let time = 0; time < 2; time += 1)
      await expect(careless.claim(id, claimRequest())).rejects.toBeInstanceOf(RecordUnreadableError);
    expect(await snapshot(id)).toEqual(before);
    await expect(careless.get(id)).rejects.toBeInstanceOf(RecordUnreadableError);
    expect(await careless.forget(id)).toBe(true);
  });

  it('is left out of a search, and the operator is told', async () => {
    const good = newClaim();
    const bad = newClaim();
    for (const { id, request } of [good, bad]) await careless.claim(id, request);
    await loose.query('update idempotency_records set state = 7 where id = ?', [bad.id]);
    const found: string[] = [];
    for await (const { id } of careless.find({ idPrefix: 'test|' })) found.push(id);
    expect(found).toEqual([good.id]);
    expect(host.warnings).toEqual([expect.stringMatching(/^typeOrmStorage: 1 record\(s\) were left out/)]);
  });
});

describe('a SQLite file that is full', () => {
  const PAGES = 60;
  const limited = () =>
    sqlite.migrated({
      prepareDatabase: (client: { pragma(text: string): unknown }) => {
        client.pragma(`max_page_count = ${PAGES}`);
      },
    });

  it('refuses what does not fit and nothing else, and takes it when there is room again', async () => {
    const storage = await sqlite.storage({ dataSource: await limited() });
    const kept = newClaim();
    await storage.claim(kept.id, kept.request);
    await storage.complete(kept.claim, Buffer.from('kept'), HOUR_MS);
    const [large, small] = [newClaim(), newClaim()];
    for (const { id, request } of [large, small]) await storage.claim(id, request);

    // In one turn, so that they come with one another to the disk.
    const [tooLarge, fits] = await Promise.allSettled([
      storage.complete(large.claim, Buffer.alloc(PAGES * 4096), HOUR_MS),
      storage.complete(small.claim, Buffer.from('small'), HOUR_MS),
    ]);
    expect(tooLarge).toMatchObject({ status: 'rejected', reason: { code: 'storage-unavailable' } });
    expect(String(tooLarge.status === 'rejected' && tooLarge.reason)).toMatch(/database or disk is full/);
    expect(fits).toEqual({ status: 'fulfilled', value: 'applied' });

    const filling: string[] = [];
    const refusal = await fillUp(storage, filling);
    expect(refusal).toMatchObject({ code: 'storage-unavailable' });
    expect(filling.length).toBeGreaterThan(10);
    expect(await storage.claim(kept.id, claimRequest())).toMatchObject({ kind: 'completed' });
    expect(await storage.claim(large.id, claimRequest())).toMatchObject({ kind: 'in_progress' });

    for (const id of filling) await storage.forget(id);
    expect(await storage.complete(large.claim, Buffer.alloc(4096), HOUR_MS)).toBe('applied');
    expect(await fillUp(storage, [])).toMatchObject({ code: 'storage-unavailable' });
  });

  async function fillUp(storage: IdempotencyStorage, ids: string[]): Promise<unknown> {
    try {
      for (;;) {
        const { id, request, claim } = newClaim();
        await storage.claim(id, request);
        ids.push(id);
        await storage.complete(claim, Buffer.alloc(4096), HOUR_MS);
      }
    } catch (error) {
      return error;
    }
  }
});
