import assert from 'node:assert/strict';
import type { ContractCase } from './contract-case.js';
import { inRounds } from './race.js';
import {
  bytes,
  expectAbsent,
  expectApplied,
  expectBytes,
  expectKind,
  expectLost,
  HOUR_MS,
  mustClaim,
  mustClaimAndComplete,
  mustClaimAndExpire,
  mustClaimAndRelease,
  mustGet,
  request,
  textsOf,
  uniqueId,
} from './support.js';

const ODD_NAMES = [
  '__proto__',
  'constructor',
  'toString',
  '1',
  '0',
  '',
  'Charge',
  'charge',
  'charge ',
  'é',
  'e',
  'a.b',
  'a:b|c,d;e/f',
  '$x',
  "it's",
  '"quoted"',
  'new\nline\ttab',
  '\\',
  '%_*?[]',
  '{}',
  '💳',
  'x'.repeat(200),
];

export const stepCases: readonly ContractCase[] = [
  {
    name: 'steps: they come back in the order of their first saving, and one saved again keeps its place',
    async run({ storage }) {
      const { claim } = await mustClaim(storage, uniqueId('order'));
      const saves = [
        ['second-2', 'a'],
        ['first-1', 'b'],
        ['10', 'c'],
        ['9', 'd'],
        ['second-2', 'new'],
      ] as const;
      for (const [name, value] of saves) await expectApplied(storage.saveStep(claim, name, bytes(value)));
      const expected = [
        ['second-2', 'new'],
        ['first-1', 'b'],
        ['10', 'c'],
        ['9', 'd'],
      ];
      assert.deepEqual(textsOf((await mustGet(storage, claim.id)).steps), expected);
      await expectApplied(storage.release(claim, { forget: false }));
      assert.deepEqual(textsOf((await mustClaim(storage, claim.id)).steps), expected);
    },
  },
  {
    name: 'steps: those of several attempts add up',
    async run(harness) {
      const { storage } = harness;
      const first = await mustClaimAndExpire(harness, uniqueId('attempts'));
      const { id } = first.claim;
      await expectApplied(storage.saveStep(first.claim, 'reserve', bytes('1')));
      const second = await mustClaim(storage, id);
      await expectApplied(storage.saveStep(second.claim, 'charge', bytes('2')));
      await expectApplied(storage.release(second.claim, { forget: false }));
      const third = await mustClaim(await harness.openPeer(), id);
      await expectApplied(storage.saveStep(third.claim, 'mail', bytes('3')));
      const again = await storage.claim(id, request({ ownerToken: third.claim.ownerToken }));
      assert.deepEqual(textsOf(expectKind(again, 'claimed').steps), [
        ['reserve', '1'],
        ['charge', '2'],
        ['mail', '3'],
      ]);
    },
  },
  {
    name: 'steps: any name is kept as it is',
    async run({ storage }) {
      const { claim } = await mustClaim(storage, uniqueId('names'));
      for (const name of ODD_NAMES)
        await expectApplied(storage.saveStep(claim, name, bytes(`value of ${name}`)));
      await expectApplied(storage.release(claim, { forget: false }));
      const { steps } = await mustClaim(storage, claim.id);
      assert.deepEqual(
        textsOf(steps),
        ODD_NAMES.map((name) => [name, `value of ${name}`]),
      );
    },
  },
  {
    name: 'steps: any bytes are kept as they are, also none and many',
    async run({ storage }) {
      const { claim } = await mustClaim(storage, uniqueId('values'));
      const values = {
        empty: new Uint8Array(),
        every: Uint8Array.from({ length: 256 }, (_, index) => index),
        nul: new Uint8Array(3),
        large: new Uint8Array(256 * 1024).fill(0xe9),
      };
      for (const [name, value] of Object.entries(values))
        await expectApplied(storage.saveStep(claim, name, value));
      await expectApplied(storage.release(claim, { forget: false }));
      const { steps } = await mustClaim(storage, claim.id);
      assert.deepEqual([...steps.keys()], Object.keys(values));
      for (const [name, value] of Object.entries(values)) expectBytes(steps.get(name), value);
    },
  },
  {
    name: 'steps: saved at the same moment, all are kept',
    async run(harness) {
      const { storage } = harness;
      const peer = await harness.openPeer();
      const { claim } = await mustClaim(storage, uniqueId('parallel'));
      const names = Array.from({ length: 20 }, (_, index) => `step-${index}`);
      await Promise.all(
        names.map((name, index) =>
          expectApplied((index % 2 ? peer : storage).saveStep(claim, name, bytes(name))),
        ),
      );
      const { steps } = await mustGet(storage, claim.id);
      assert.deepEqual([...steps.keys()].sort(), names.sort());
    },
  },
  {
    name: 'steps: the owner token decides, not the time',
    async run(harness) {
      const { claim } = await mustClaimAndExpire(harness, uniqueId('late'));
      await expectApplied(harness.storage.saveStep(claim, 'charge', bytes('42')));
      assert.deepEqual(textsOf((await mustClaim(harness.storage, claim.id)).steps), [['charge', '42']]);
    },
  },
  {
    name: 'steps: a past owner saves nothing',
    async run(harness) {
      const { storage } = harness;
      const past = await mustClaimAndExpire(harness, uniqueId('past'));
      await mustClaim(storage, past.claim.id);
      await expectLost(storage.saveStep(past.claim, 'charge', bytes('42')));
      assert.equal((await mustGet(storage, past.claim.id)).steps.size, 0);
    },
  },
  {
    name: 'steps: a claim that was given up or completed saves nothing',
    async run({ storage }) {
      const released = await mustClaimAndRelease(storage, uniqueId('released'));
      await expectLost(storage.saveStep(released.claim, 'charge', bytes('42')));
      assert.equal((await mustClaim(storage, released.claim.id)).steps.size, 0);
      const completed = await mustClaimAndComplete(storage, uniqueId('completed'), 'done');
      await expectLost(storage.saveStep(completed.claim, 'charge', bytes('42')));
      assert.equal((await mustGet(storage, completed.claim.id)).steps.size, 0);
    },
  },
  {
    name: 'steps: a record that is gone is lost and does not come back',
    async run({ storage }) {
      const { claim } = await mustClaim(storage, uniqueId('gone'));
      await storage.forget(claim.id);
      await expectLost(storage.saveStep(claim, 'charge', bytes('42')));
      await expectAbsent(storage, claim.id);
    },
  },
  {
    name: 'steps: against a takeover at the same moment one is handed on or refused, never lost',
    async run(harness) {
      const { storage } = harness;
      const peer = await harness.openPeer();
      await inRounds(async () => {
        const { claim } = await mustClaimAndExpire(harness, uniqueId('against'));
        const asked = request();
        const [saved, taken] = await Promise.all([
          storage.saveStep(claim, 'charge', bytes('42')),
          peer.claim(claim.id, asked),
        ]);
        assert.equal(expectKind(taken, 'claimed').steps.has('charge'), saved === 'applied');
        await expectApplied(
          storage.complete({ id: claim.id, ownerToken: asked.ownerToken }, bytes(''), HOUR_MS),
        );
      });
    },
  },
];
