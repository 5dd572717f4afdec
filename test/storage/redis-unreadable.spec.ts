import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { RESP_TYPES } from 'redis';
import { RecordUnreadableError } from '../../libs/idempotency/src/core/errors.js';
import { claimRequest, newClaim, useRedis } from '../support/redis-fixture.js';

const HOUR_MS = 3_600_000;
const redis = useRedis();

describe('a Redis key that holds', () => {
  /** A record as the storage itself writes it, to be spoilt. */
  async function intactRecord(): Promise<Buffer> {
    const { id, request, claim } = newClaim();
    await redis.storage.claim(id, request);
    await redis.storage.saveStep(claim, 'charge', Buffer.from('42'));
    return redis.admin
      .withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
      .get(id) as unknown as Promise<Buffer>;
  }
  const spoilt = (change: (record: Buffer) => void) => async () => {
    const record = Buffer.from(await intactRecord());
    change(record);
    return record;
  };

  const strings: readonly (readonly [string, () => Promise<Buffer>, string])[] = [
    ['random bytes', async () => randomBytes(200), 'holds 200 bytes that this library did not write'],
    ['nothing at all', async () => Buffer.alloc(0), 'holds 0 bytes that this library did not write'],
    ['JSON of another program', async () => Buffer.from('{"status":"done"}'), 'did not write'],
    [
      'the start of a record',
      async () => Buffer.from('idr1'),
      'the 4 bytes under its Redis key were cut short',
    ],
    [
      'a record that was cut short',
      async () => (await intactRecord()).subarray(0, -1),
      'cut short or changed',
    ],
    [
      'a record with bytes after it',
      async () => Buffer.concat([await intactRecord(), Buffer.from('x')]),
      'cut short or changed',
    ],
    ['a later layout', spoilt((record) => record.write('2', 3)), 'it has layout "2"'],
    ['a state that does not exist', spoilt((record) => record.writeUInt8(9, 4)), 'cut short or changed'],
    ['a past that does not exist', spoilt((record) => record.writeUInt8(9, 5)), 'cut short or changed'],
  ];

  async function expectUnreadable(id: string, reason: string): Promise<void> {
    const claim = { id, ownerToken: claimRequest().ownerToken };
    const calls = {
      claim: () => redis.storage.claim(id, claimRequest()),
      abandoned: () => redis.storage.claim(id, claimRequest({ takeOver: false })),
      get: () => redis.storage.get(id),
      complete: () => redis.storage.complete(claim, Buffer.from('x'), HOUR_MS),
      release: () => redis.storage.release(claim, { forget: true }),
      saveStep: () => redis.storage.saveStep(claim, 'x', Buffer.from('x')),
    };
    for (const [name, call] of Object.entries(calls)) {
      const error: unknown = await call().then(
        () => `${name} was answered`,
        (failure: unknown) => failure,
      );
      expect(error).toBeInstanceOf(RecordUnreadableError);
      expect(String(error)).toContain(reason);
    }
  }

  for (const [what, make, reason] of strings) {
    it(`${what} is neither claimed nor replayed nor changed`, async () => {
      const value = await make();
      await redis.admin.set('test|spoilt', value);
      await expectUnreadable('test|spoilt', reason);
      const after = await redis.admin
        .withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
        .get('test|spoilt');
      expect(Buffer.compare(after as unknown as Buffer, value)).toBe(0);
    });
  }

  it('a hash, a list or a set is neither claimed nor replayed nor changed', async () => {
    await redis.admin.hSet('test|hash', 'status', 'done');
    await redis.admin.rPush('test|list', 'done');
    await redis.admin.sAdd('test|set', 'done');
    for (const id of ['test|hash', 'test|list', 'test|set']) {
      await expectUnreadable(id, 'its Redis key holds a value of another Redis type');
    }
    await expect(redis.admin.hGetAll('test|hash')).resolves.toEqual({ status: 'done' });
  });

  it('something else does not hold up the renewals of others, and counts as lost itself', async () => {
    const [one, other] = [newClaim(), newClaim()];
    await redis.storage.claim(one.id, one.request);
    await redis.storage.claim(other.id, other.request);
    await redis.admin.hSet('test|hash', 'status', 'done');
    await redis.admin.set('test|text', 'done');
    const strangers = ['test|hash', 'test|text'].map((id) => ({ id, ownerToken: 'nobody' }));
    const claims = [one.claim, ...strangers, other.claim];
    await expect(redis.storage.renew(claims.map((claim) => ({ claim, leaseMs: HOUR_MS })))).resolves.toEqual([
      'applied',
      'lease_lost',
      'lease_lost',
      'applied',
    ]);
  });

  it('something else is passed over by a search, and forgotten when somebody asks for that', async () => {
    const { id, request } = newClaim();
    await redis.storage.claim(id, request);
    await redis.admin.hSet('test|hash', 'status', 'done');
    await redis.admin.set('test|text', 'done');
    const found: string[] = [];
    for await (const record of redis.storage.find({ idPrefix: '' })) found.push(record.id);
    expect(found).toEqual([id]);
    await expect(redis.storage.forget('test|hash')).resolves.toBe(true);
    await expect(redis.storage.claim('test|hash', claimRequest())).resolves.toMatchObject({
      kind: 'claimed',
    });
  });
});
