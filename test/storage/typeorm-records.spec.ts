import { beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { RecordUnreadableError } from '../../libs/idempotency/src/core/errors.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { claimRequest, listeningHost, newClaim, usePostgres } from '../support/postgres-fixture.js';

const HOUR_MS = 3_600_000;
const postgres = usePostgres();
let dataSource: DataSource;
let storage: IdempotencyStorage;
let peer: IdempotencyStorage;

beforeAll(async () => {
  dataSource = await postgres.migrated();
  [storage, peer] = await Promise.all([postgres.storage({ dataSource }), postgres.storage({ dataSource })]);
});

describe('a record in PostgreSQL', () => {
  it('has one winner, 300 times, of 30 racers over two instances', async () => {
    for (let round = 0; round < 30; round += 1) {
      const ids = Array.from({ length: 10 }, () => newClaim().id);
      const winners = await Promise.all(
        ids.map(async (id) => {
          const outcomes = await Promise.all(
            Array.from({ length: 30 }, (_, racer) => (racer % 2 ? peer : storage).claim(id, claimRequest())),
          );
          return outcomes.filter(({ kind }) => kind === 'claimed').length;
        }),
      );
      expect(winners).toEqual(ids.map(() => 1));
    }
  }, 120_000);

  it('has an id that differs by case, by NUL and by backslash', async () => {
    const { id } = newClaim();
    const ids = ['key', 'Key', 'KEY', 'k\0ey', 'k\\0ey', 'k\\\0ey', 'k\\\\0ey', 'key\0'].map(
      (end) => `${id}${end}`,
    );
    for (const one of ids)
      expect(await storage.claim(one, claimRequest())).toMatchObject({ kind: 'claimed', attempt: 1 });
    for (const one of ids) expect(await storage.get(one)).toMatchObject({ id: one });
    const found: string[] = [];
    for await (const record of storage.find({ idPrefix: `${id}k\0` })) found.push(record.id);
    expect(found).toEqual([`${id}k\0ey`]);
  });

  it('keeps a step of any name, NUL among them, and one overwritten many times keeps its place', async () => {
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    for (const name of ['a\0b', '\u2028', 'mail']) await storage.saveStep(claim, name, Buffer.from(name));
    for (let time = 0; time < 20; time += 1) await storage.saveStep(claim, 'a\0b', Buffer.from(`${time}`));
    const steps = [...((await storage.get(id))?.steps ?? [])];
    expect(steps.map(([name, value]) => [name, Buffer.from(value).toString()])).toEqual([
      ['a\0b', '19'],
      ['\u2028', '\u2028'],
      ['mail', 'mail'],
    ]);
  });

  it('goes back to the owner and the steps that a forgotten takeover had found', async () => {
    const first = newClaim({ leaseMs: 1 });
    const { id } = first;
    await storage.claim(id, first.request);
    await storage.saveStep(first.claim, 'charge', Buffer.from('42'));
    await sleep(20);
    const second = { id, ownerToken: claimRequest().ownerToken };
    expect(await storage.claim(id, claimRequest({ ownerToken: second.ownerToken }))).toMatchObject({
      attempt: 2,
    });
    expect(await storage.complete(first.claim, Buffer.from('late'), HOUR_MS)).toBe('lease_lost');
    await storage.saveStep(second, 'charge', Buffer.from('43'));
    await storage.saveStep(second, 'mail', Buffer.from('44'));
    expect(await storage.release(second, { forget: true })).toBe('applied');
    expect(await storage.release(second, { forget: true })).toBe('lease_lost');
    const record = await storage.get(id);
    expect(record).toMatchObject({ attempt: 1, released: false, leaseRemainingMs: 0 });
    expect([...(record?.steps ?? [])].map(([name, value]) => [name, Buffer.from(value).toString()])).toEqual([
      ['charge', '42'],
    ]);
    expect(await storage.complete(first.claim, Buffer.from('late'), HOUR_MS)).toBe('applied');
  });

  it('of which a takeover was forgotten is absent when its first owner forgets it too', async () => {
    const first = newClaim({ leaseMs: 1 });
    await storage.claim(first.id, first.request);
    await sleep(20);
    const second = claimRequest();
    await storage.claim(first.id, second);
    await storage.release({ id: first.id, ownerToken: second.ownerToken }, { forget: true });
    expect(await storage.release(first.claim, { forget: true })).toBe('applied');
    expect(await storage.get(first.id)).toBeUndefined();
  });

  it('keeps its first result when its owner completes it again', async () => {
    const { id, request, claim } = newClaim();
    await storage.claim(id, request);
    await storage.complete(claim, Buffer.from('first'), HOUR_MS);
    expect(await storage.complete(claim, Buffer.from('second'), 1)).toBe('applied');
    const replay = await storage.claim(id, claimRequest());
    expect(replay.kind === 'completed' && Buffer.from(replay.result).toString()).toBe('first');
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
});

describe('a row that somebody has changed by hand', () => {
  let loose: DataSource;
  let careless: IdempotencyStorage;
  const host = listeningHost();

  beforeAll(async () => {
    loose = await postgres.migrated();
    await loose.query('alter table idempotency_records drop constraint idempotency_records_state');
    for (const column of ['lease_until', 'expires_at', 'fingerprint', 'attempt', 'state'])
      await loose.query(`alter table idempotency_records alter ${column} drop not null`);
    careless = await postgres.storage({ dataSource: loose }, host);
  });

  const snapshot = async (id: string): Promise<unknown> =>
    loose.query(
      'select state, attempt, owner, fingerprint, steps, result, lease_until <= clock_timestamp() as over from idempotency_records where id = $1',
      [id],
    );

  it.each([
    ['a state that does not exist', 'state = 7'],
    ['no state', 'state = null'],
    ['completed without a result', 'state = 1, result = null'],
    ['no end of its lease', 'lease_until = null'],
    ['no keeping time', 'expires_at = null'],
    ['no fingerprint', 'fingerprint = null'],
    ['no attempt', `attempt = null, lease_until = '2020-01-01'`],
    ['an attempt below 1', `attempt = -3, lease_until = '2020-01-01'`],
    ['damaged steps', `steps = '\\x00000001', lease_until = '2020-01-01'`],
    ['steps cut off', `steps = '\\x0000000100000009612a', owner = null, lease_until = '2020-01-01'`],
    ['a step whose name is no text', `steps = '\\x0000000100000000ff', lease_until = '2020-01-01'`],
  ])('%s: is reported, not claimed and not changed', async (_, change) => {
    const { id, request } = newClaim();
    await careless.claim(id, request);
    await loose.query(`update idempotency_records set ${change} where id = $1`, [id]);
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
    await loose.query('update idempotency_records set state = 7 where id = $1', [bad.id]);
    const found: string[] = [];
    for await (const { id } of careless.find({ idPrefix: 'test|' })) found.push(id);
    expect(found).toEqual([good.id]);
    expect(host.warnings).toEqual([expect.stringMatching(/^typeOrmStorage: 1 record\(s\) were left out/)]);
    await careless.forget(bad.id);
  });

  it('cannot be made where the table has its check', async () => {
    const { id, request } = newClaim();
    await storage.claim(id, request);
    for (const change of ['state = 7', 'state = 1', `result = ''`]) {
      await expect(
        dataSource.query(`update idempotency_records set ${change} where id = $1`, [id]),
      ).rejects.toThrow(/idempotency_records_state/);
    }
  });
});
