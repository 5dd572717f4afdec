import { beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { RecordUnreadableError, StorageUnavailableError } from '../../libs/idempotency/src/core/errors.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { claimRequest, listeningHost, newClaim } from '../support/postgres-fixture.js';

const HOUR_MS = 3_600_000;
const mariaDb = useMariaDb({ args: ['--max-allowed-packet=4M'] });
let dataSource: DataSource;

beforeAll(async () => {
  dataSource = await mariaDb.migrated();
});

describe.each(['MariaDB', 'MySQL'] as const)('a record, with the claim for %s,', (claim) => {
  let storage: IdempotencyStorage;
  let peer: IdempotencyStorage;
  beforeAll(async () => {
    const open = () =>
      claim === 'MariaDB' ? mariaDb.storage({ dataSource }) : mariaDb.mySqlStorage(dataSource);
    [storage, peer] = await Promise.all([open(), open()]);
  });

  it('has one winner, 100 times, of 50 racers over two instances', async () => {
    for (let round = 0; round < 10; round += 1) {
      const ids = Array.from({ length: 10 }, () => newClaim().id);
      const winners = await Promise.all(
        ids.map(async (id) => {
          const outcomes = await Promise.all(
            Array.from({ length: 50 }, (_, racer) => (racer % 2 ? peer : storage).claim(id, claimRequest())),
          );
          return outcomes.filter(({ kind }) => kind === 'claimed').length;
        }),
      );
      expect(winners).toEqual(ids.map(() => 1));
    }
  }, 120_000);

  it('has one winner, 40 times, of 50 racers over one that ran out, was given up, is over or was removed', async () => {
    const endings: readonly ((id: string) => Promise<void>)[] = [
      async (id: string) => void (await storage.claim(id, claimRequest({ leaseMs: 1 }))),
      async (id: string) => void (await storage.claim(id, claimRequest({ leaseMs: 1, keepMs: 1 }))),
      async (id: string) => {
        const request = claimRequest();
        await storage.claim(id, request);
        await storage.release({ id, ownerToken: request.ownerToken }, { forget: false });
      },
      async (id: string) => {
        await storage.claim(id, claimRequest());
        await storage.forget(id);
      },
    ];
    for (let round = 0; round < 10; round += 1) {
      const ids = endings.map(() => newClaim().id);
      for (const [index, end] of endings.entries()) await end(ids[index] ?? '');
      await sleep(5);
      const winners = await Promise.all(
        ids.map(async (id) => {
          const outcomes = await Promise.all(
            Array.from({ length: 50 }, (_, racer) => (racer % 2 ? peer : storage).claim(id, claimRequest())),
          );
          return outcomes.filter(({ kind }) => kind === 'claimed').length;
        }),
      );
      expect(winners).toEqual(ids.map(() => 1));
    }
  }, 120_000);

  it('has an id that differs by case, by spaces, by NUL and by backslash', async () => {
    const { id } = newClaim();
    const ids = ['key', 'Key', 'kéy', 'key ', 'k\0ey', 'k\\0ey', 'k\\\0ey', 'k\\\\0ey', 'key\0'].map(
      (end) => `${id}${end}`,
    );
    for (const one of ids)
      expect(await storage.claim(one, claimRequest())).toMatchObject({ kind: 'claimed', attempt: 1 });
    for (const one of ids) expect(await storage.get(one)).toMatchObject({ id: one });
    const found: string[] = [];
    for await (const record of storage.find({ idPrefix: `${id}k\0` })) found.push(record.id);
    expect(found).toEqual([`${id}k\0ey`]);
  });

  it('has an id of at most 2048 bytes; a longer one is refused, not cut', async () => {
    const { id } = newClaim();
    const longest = id.padEnd(2048, 'x');
    expect(await storage.claim(longest, claimRequest())).toMatchObject({ kind: 'claimed', attempt: 1 });
    expect((await storage.get(longest))?.id).toBe(longest);
    await expect(storage.claim(`${longest}x`, claimRequest())).rejects.toThrow(/Data too long/);
    expect((await storage.get(longest))?.attempt).toBe(1);
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
    const steps = [...((await storage.get(id))?.steps ?? [])];
    expect(steps.map(([name, value]) => [name, Buffer.from(value).toString()])).toEqual([['charge', '42']]);
    expect(await storage.complete(first.claim, Buffer.from('late'), HOUR_MS)).toBe('applied');
  });

  it('does not take what is larger than a packet of the server, says so, and keeps what it has', async () => {
    const { id, request, claim: own } = newClaim();
    await storage.claim(id, request);
    await storage.saveStep(own, 'first', Buffer.from('1'));
    const tooLarge = Buffer.alloc(4 * 1024 * 1024);
    for (const call of [storage.complete(own, tooLarge, HOUR_MS), storage.saveStep(own, 'big', tooLarge)]) {
      const error: unknown = await call.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(StorageUnavailableError);
      expect((error as Error).message).toMatch(/max_allowed_packet/);
    }
    // Each by itself would fit, together they do not: what is there must not be lost.
    const half = Buffer.alloc(1_500_000, 'x');
    for (const name of ['a', 'b']) expect(await storage.saveStep(own, name, half)).toBe('applied');
    await expect(storage.saveStep(own, 'c', half)).rejects.toThrow(/max_allowed_packet/);
    expect([...((await storage.get(id))?.steps.keys() ?? [])]).toEqual(['first', 'a', 'b']);
    expect(await storage.complete(own, Buffer.from('done'), HOUR_MS)).toBe('applied');
  });
});

describe('a record in MariaDB that no storage has written', () => {
  let loose: DataSource;
  let careless: IdempotencyStorage;
  const host = listeningHost();
  beforeAll(async () => {
    loose = await mariaDb.migrated();
    await loose.query('alter table idempotency_records drop constraint idempotency_records_state');
    const columns = [
      'state tinyint',
      'attempt int',
      'fingerprint varbinary(255)',
      'lease_until bigint',
      'expires_at bigint',
    ];
    await loose.query(
      `alter table idempotency_records ${columns.map((one) => `modify ${one} null`).join(', ')}`,
    );
    careless = await mariaDb.storage({ dataSource: loose }, host);
  });

  const snapshot = async (id: string): Promise<unknown> =>
    loose.query(
      'select state, attempt, owner, fingerprint, steps, result, lease_until, expires_at from idempotency_records where id = ?',
      [id],
    );

  it.each([
    ['a state that does not exist', 'state = 7'],
    ['no state', 'state = null'],
    ['completed without a result', 'state = 1, result = null'],
    ['no end of its lease', 'lease_until = null'],
    ['no keeping time', 'expires_at = null'],
    ['no fingerprint', 'fingerprint = null'],
    ['no attempt', 'attempt = null, lease_until = 0'],
    ['an attempt below 1', 'attempt = -3, lease_until = 0'],
    ['damaged steps', `steps = x'00000001', lease_until = 0`],
    ['steps cut off', `steps = x'0000000100000009612a', owner = null, lease_until = 0`],
    ['a step whose name is no text', `steps = x'0000000100000000ff', lease_until = 0`],
  ])('%s: is reported, not claimed and not changed', async (_, change) => {
    const storages = [careless, await mariaDb.mySqlStorage(loose)];
    for (const storage of storages) {
      const { id, request } = newClaim();
      await storage.claim(id, request);
      await loose.query(`update idempotency_records set ${change} where id = ?`, [id]);
      const before = await snapshot(id);
      for (let time = 0; time < 2; time += 1)
        await expect(storage.claim(id, claimRequest())).rejects.toBeInstanceOf(RecordUnreadableError);
      const after = await snapshot(id);
      if (change.includes('steps')) expect(withoutTimes(after)).toEqual(withoutTimes(before));
      else expect(after).toEqual(before);
      await expect(storage.get(id)).rejects.toBeInstanceOf(RecordUnreadableError);
      expect(await storage.forget(id)).toBe(true);
    }
  });

  /** One that is found unreadable after its claim goes back to what the claim had found, as of now. */
  function withoutTimes(rows: unknown): unknown {
    return (rows as Record<string, unknown>[]).map(({ lease_until: _l, expires_at: _e, ...rest }) => rest);
  }

  it('is left out of a search, and the operator is told', async () => {
    const good = newClaim();
    const bad = newClaim();
    for (const { id, request } of [good, bad]) await careless.claim(id, request);
    await loose.query('update idempotency_records set state = 7 where id = ?', [bad.id]);
    const found: string[] = [];
    for await (const { id } of careless.find({ idPrefix: 'test|' })) found.push(id);
    expect(found).toEqual([good.id]);
    expect(host.warnings).toEqual([expect.stringMatching(/^typeOrmStorage: 1 record\(s\) were left out/)]);
    await careless.forget(bad.id);
  });

  it('cannot be made where the table has its check', async () => {
    const storage = await mariaDb.storage({ dataSource });
    const { id, request } = newClaim();
    await storage.claim(id, request);
    for (const change of ['state = 7', 'state = 1', `result = ''`]) {
      await expect(
        dataSource.query(`update idempotency_records set ${change} where id = ?`, [id]),
      ).rejects.toThrow(/idempotency_records_state/);
    }
  });
});
