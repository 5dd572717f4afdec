import assert from 'node:assert/strict';
import type { ContractCase } from './contract-case.js';
import {
  bytes,
  collect,
  expectAge,
  expectApplied,
  expectBytes,
  HOUR_MS,
  idsFound,
  mustClaim,
  mustClaimAndComplete,
  mustClaimAndExpire,
  mustClaimAndRelease,
  outlast,
  SHORT_MS,
  stopwatch,
  textsOf,
  uniqueId,
} from './support.js';

export const findCases: readonly ContractCase[] = [
  {
    name: 'find: yields the records whose id starts with the prefix, on every instance',
    async run(harness) {
      const { storage } = harness;
      const base = uniqueId('prefix');
      for (const ending of ['', '-a', '-b', '-A', '-ab']) await mustClaim(storage, `${base}${ending}`);
      for (const instance of [storage, await harness.openPeer()]) {
        assert.deepEqual(await idsFound(instance, { idPrefix: `${base}-a` }), [`${base}-a`, `${base}-ab`]);
        assert.equal((await idsFound(instance, { idPrefix: base })).length, 5);
      }
      assert.deepEqual(await idsFound(storage, { idPrefix: base.slice(1) }), []);
    },
  },
  {
    name: 'find: wildcard characters in the prefix stand for themselves',
    async run({ storage }) {
      for (const wildcard of ['%', '_', '*', '?', '[a]', '[^b]', '\\', '\\%', '.', '+', '^']) {
        const base = uniqueId('wildcard');
        await mustClaim(storage, `${base}${wildcard}x`);
        await mustClaim(storage, `${base}ax`);
        await mustClaim(storage, `${base}aax`);
        assert.deepEqual(await idsFound(storage, { idPrefix: `${base}${wildcard}` }), [
          `${base}${wildcard}x`,
        ]);
        assert.deepEqual(await idsFound(storage, { idPrefix: `${base}${wildcard}y` }), []);
      }
    },
  },
  {
    name: 'find: an empty prefix yields all',
    async run({ storage }) {
      const ids = [uniqueId('all'), `${uniqueId('all')}%`];
      for (const id of ids) await mustClaim(storage, id);
      const found = await idsFound(storage, { idPrefix: '' });
      for (const id of ids) assert.ok(found.includes(id));
    },
  },
  {
    name: 'find: by state, and records past their keeping time are absent',
    async run(harness) {
      const { storage } = harness;
      const base = uniqueId('state');
      const over = await mustClaim(storage, `${base}-over`);
      await expectApplied(storage.complete(over.claim, bytes('over'), SHORT_MS));
      await mustClaim(storage, `${base}-lapsed`, { leaseMs: 1, keepMs: SHORT_MS });
      await mustClaimAndComplete(storage, `${base}-completed`, 'done');
      await mustClaim(storage, `${base}-running`);
      await mustClaimAndRelease(storage, `${base}-released`);
      await outlast(harness, 2 * SHORT_MS);
      const completed = [`${base}-completed`];
      const unfinished = [`${base}-released`, `${base}-running`];
      assert.deepEqual(await idsFound(storage, { idPrefix: base, state: 'completed' }), completed);
      assert.deepEqual(await idsFound(storage, { idPrefix: base, state: 'in_progress' }), unfinished);
      assert.deepEqual(await idsFound(storage, { idPrefix: base }), [...completed, ...unfinished]);
    },
  },
  {
    name: 'find: by age since the first claim',
    async run(harness) {
      const { storage } = harness;
      const base = uniqueId('age');
      await mustClaimAndRelease(storage, `${base}-old`);
      await outlast(harness, 2 * SHORT_MS);
      await mustClaim(storage, `${base}-old`);
      await mustClaimAndComplete(storage, `${base}-new`, 'done');
      const old = await idsFound(storage, { idPrefix: base, minAgeMs: 2 * SHORT_MS });
      assert.ok(old.includes(`${base}-old`));
      assert.equal((await idsFound(storage, { idPrefix: base, minAgeMs: 0 })).length, 2);
      assert.deepEqual(await idsFound(storage, { idPrefix: base, minAgeMs: HOUR_MS }), []);
      assert.deepEqual(
        await idsFound(storage, { idPrefix: base, minAgeMs: HOUR_MS, state: 'completed' }),
        [],
      );
    },
  },
  {
    name: 'find: what it yields is what get shows',
    async run(harness) {
      const { storage } = harness;
      const watch = stopwatch();
      const { claim } = await mustClaimAndExpire(harness, uniqueId('view'));
      await expectApplied(storage.saveStep(claim, 'charge', bytes('42')));
      const [unfinished] = await collect(storage, { idPrefix: claim.id });
      assert.ok(unfinished !== undefined);
      const { id, state, fingerprint, attempt, released, leaseRemainingMs } = unfinished;
      assert.deepEqual(
        { id, state, fingerprint, attempt, released, leaseRemainingMs },
        {
          ...{ id: claim.id, state: 'in_progress', fingerprint: 'fp' },
          ...{ attempt: 1, released: false, leaseRemainingMs: 0 },
        },
      );
      assert.deepEqual(textsOf(unfinished.steps), [['charge', '42']]);
      expectAge(unfinished.ageMs, SHORT_MS, watch);
      await expectApplied(storage.complete(claim, bytes('done'), HOUR_MS));
      const [completed] = await collect(storage, { idPrefix: claim.id });
      assert.equal(completed?.state, 'completed');
      expectBytes(completed.result, bytes('done'));
    },
  },
  {
    name: 'find: yields each of many records once, also while others come and go',
    async run(harness) {
      const { storage } = harness;
      const base = uniqueId('many');
      const ids = Array.from({ length: 300 }, (_, index) => `${base}-${String(index).padStart(3, '0')}`);
      await Promise.all(ids.map((id) => mustClaim(storage, id)));
      const { claim: changing } = await mustClaim(storage, `${base}-z`);
      const seen: string[] = [];
      for await (const { id } of storage.find({ idPrefix: base })) {
        seen.push(id);
        if (seen.length % 100 !== 1) continue;
        await storage.forget(id);
        await mustClaim(storage, id);
        await mustClaim(storage, `${base}-new-${seen.length}`);
        await storage.saveStep(changing, `step-${seen.length}`, bytes('x'.repeat(100)));
      }
      assert.equal(new Set(seen).size, seen.length, 'a record was yielded twice');
      const missed = ids.filter((id) => !seen.includes(id));
      assert.deepEqual(missed, [], 'records were missed that nobody touched');
    },
  },
  {
    name: 'find: a search that is broken off leaves the storage usable',
    async run({ storage }) {
      const base = uniqueId('broken-off');
      for (const ending of ['a', 'b', 'c']) await mustClaim(storage, `${base}-${ending}`);
      for (let count = 0; count < 20; count += 1) {
        for await (const { id } of storage.find({ idPrefix: base })) {
          assert.ok(id.startsWith(base));
          break;
        }
      }
      assert.equal((await idsFound(storage, { idPrefix: base })).length, 3);
    },
  },
];
