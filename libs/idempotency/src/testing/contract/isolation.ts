import assert from 'node:assert/strict';
import type { RecordView } from '../../core/idempotency-storage.js';
import type { ContractCase } from './contract-case.js';
import {
  bytes,
  collect,
  expectApplied,
  expectKind,
  expectResult,
  HOUR_MS,
  mustClaim,
  mustClaimAndComplete,
  mustGet,
  request,
  textsOf,
  uniqueId,
} from './support.js';

/** Endings that some collation, escaping or wildcard takes for one another. */
const ENDINGS = [
  '',
  'key',
  'Key',
  'KEY',
  'key ',
  ' key',
  'kéy',
  'ke\u0301y',
  'kęy',
  'ß',
  'ss',
  'a|b',
  'a||b',
  'a:b',
  'a/b',
  'a%7Cb',
  '%',
  '%%',
  '_',
  '*',
  '?',
  '[k]ey',
  '\\',
  '\\\\',
  '{a}',
  "'",
  '"',
  '🔑',
  '🔐',
  '\t',
  '\n',
];

/** As a caller would that reuses its buffers. */
function scribble(target: Uint8Array): void {
  target.fill(0x58);
}

function scribbleOver(view: Pick<RecordView, 'steps' | 'result'>): void {
  if (view.result !== undefined) scribble(view.result);
  for (const value of view.steps.values()) scribble(value);
  (view.steps as Map<string, Uint8Array>).clear();
}

export const isolationCases: readonly ContractCase[] = [
  {
    name: 'isolation: ids are compared byte for byte',
    async run({ storage }) {
      const base = uniqueId('ids');
      for (const ending of ENDINGS) {
        const { claim, attempt } = await mustClaim(storage, `${base}${ending}`);
        assert.equal(attempt, 1);
        await expectApplied(storage.complete(claim, bytes(`result of ${ending}`), HOUR_MS));
      }
      for (const ending of ENDINGS) {
        await expectResult(storage, `${base}${ending}`, bytes(`result of ${ending}`));
        assert.equal((await mustGet(storage, `${base}${ending}`)).id, `${base}${ending}`);
      }
    },
  },
  {
    name: 'isolation: long ids that differ in their last byte are two records',
    async run({ storage }) {
      const base = `${uniqueId('long')}${'x'.repeat(300)}`;
      await mustClaimAndComplete(storage, `${base}a`, 'a');
      await mustClaimAndComplete(storage, `${base}b`, 'b');
      await expectResult(storage, `${base}a`, bytes('a'));
    },
  },
  {
    name: 'isolation: what happens to one record leaves the others alone',
    async run({ storage }) {
      const base = uniqueId('neighbour');
      const own = await mustClaim(storage, `${base}-own`);
      const token = own.claim.ownerToken;
      const neighbour = await mustClaim(storage, `${base}-neighbour`, { ownerToken: token });
      await expectApplied(storage.saveStep(own.claim, 'charge', bytes('42')));
      await expectApplied(storage.release(own.claim, { forget: true }));
      await storage.forget(base);
      const { state, steps, leaseRemainingMs } = await mustGet(storage, neighbour.claim.id);
      assert.equal(state, 'in_progress');
      assert.equal(steps.size, 0);
      assert.ok(leaseRemainingMs > 0);
      await expectApplied(storage.complete(neighbour.claim, bytes('done'), HOUR_MS));
      await expectResult(storage, neighbour.claim.id, bytes('done'));
    },
  },
  {
    name: 'isolation: what the caller does to its bytes afterwards does not reach the record',
    async run({ storage }) {
      for (const own of [bytes, (text: string) => Buffer.from(text)]) {
        const { claim } = await mustClaim(storage, uniqueId('input'));
        const step = own('step');
        await expectApplied(storage.saveStep(claim, 'charge', step));
        scribble(step);
        assert.deepEqual(textsOf((await mustGet(storage, claim.id)).steps), [['charge', 'step']]);
        const result = own('result');
        await expectApplied(storage.complete(claim, result, HOUR_MS));
        scribble(result);
        await expectResult(storage, claim.id, bytes('result'));
      }
    },
  },
  {
    name: 'isolation: what the caller does to an answer does not reach the record',
    async run({ storage }) {
      const asked = request();
      const claim = { id: uniqueId('output'), ownerToken: asked.ownerToken };
      await storage.claim(claim.id, asked);
      await expectApplied(storage.saveStep(claim, 'charge', Buffer.from('step')));
      scribbleOver(expectKind(await storage.claim(claim.id, asked), 'claimed'));
      scribbleOver(await mustGet(storage, claim.id));
      for (const record of await collect(storage, { idPrefix: claim.id })) scribbleOver(record);
      assert.deepEqual(textsOf((await mustGet(storage, claim.id)).steps), [['charge', 'step']]);

      await expectApplied(storage.complete(claim, Buffer.from('result'), HOUR_MS));
      scribble(expectKind(await storage.claim(claim.id, request()), 'completed').result);
      scribbleOver(await mustGet(storage, claim.id));
      for (const record of await collect(storage, { idPrefix: claim.id })) scribbleOver(record);
      await expectResult(storage, claim.id, bytes('result'));
    },
  },
  {
    name: 'isolation: of a view into a larger buffer only its own bytes are stored',
    async run({ storage }) {
      const larger = Buffer.from('before|inside|after');
      const { claim } = await mustClaim(storage, uniqueId('view'));
      await expectApplied(storage.saveStep(claim, 'charge', larger.subarray(7, 13)));
      assert.deepEqual(textsOf((await mustGet(storage, claim.id)).steps), [['charge', 'inside']]);
      await expectApplied(storage.complete(claim, larger.subarray(7, 13), HOUR_MS));
      await expectResult(storage, claim.id, bytes('inside'));
    },
  },
];
