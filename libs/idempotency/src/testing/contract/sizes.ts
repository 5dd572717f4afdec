import assert from 'node:assert/strict';
import type { ContractCase } from './contract-case.js';
import {
  bytes,
  expectApplied,
  expectBytes,
  expectKind,
  expectResult,
  HOUR_MS,
  mustClaim,
  mustGet,
  request,
  uniqueId,
} from './support.js';

function keeps(what: string, result: () => Uint8Array): ContractCase {
  return {
    name: `sizes: ${what} is replayed as it is`,
    async run(harness) {
      const { claim } = await mustClaim(harness.storage, uniqueId('size'));
      await expectApplied(harness.storage.complete(claim, result(), HOUR_MS));
      await expectResult(await harness.openPeer(), claim.id, result());
      expectBytes((await mustGet(harness.storage, claim.id)).result, result());
    },
  };
}

export const sizeCases: readonly ContractCase[] = [
  keeps('an empty result', () => new Uint8Array()),
  keeps('a result of 1 MiB', () =>
    Uint8Array.from({ length: 1024 * 1024 }, (_, index) => (index * 31) % 251),
  ),
  keeps('a result of every byte value', () => Uint8Array.from({ length: 512 }, (_, index) => index % 256)),
  keeps('a result of NUL alone', () => new Uint8Array(4)),
  keeps('a text of many scripts', () => bytes('{"a":"\\u0000 é ß 漢字 🔑 \u2028"}')),
  {
    name: 'sizes: an empty fingerprint is a fingerprint like any other',
    async run({ storage }) {
      const { claim } = await mustClaim(storage, uniqueId('empty'), { fingerprint: '' });
      const other = await storage.claim(claim.id, request({ fingerprint: 'other' }));
      assert.equal(expectKind(other, 'in_progress').fingerprint, '');
      await expectApplied(storage.release(claim, { forget: false }));
      expectKind(await storage.claim(claim.id, request({ fingerprint: 'other' })), 'in_progress');
      const next = await mustClaim(storage, claim.id, { fingerprint: '' });
      await expectApplied(storage.complete(next.claim, bytes('done'), HOUR_MS));
      assert.equal(expectKind(await storage.claim(claim.id, request()), 'completed').fingerprint, '');
    },
  },
  {
    name: 'sizes: a fingerprint of 255 bytes is compared to its last byte, case and space',
    async run({ storage }) {
      const long = `${'f'.repeat(253)} A`;
      const { claim } = await mustClaim(storage, uniqueId('fingerprint'), { fingerprint: long });
      await expectApplied(storage.release(claim, { forget: false }));
      for (const other of [
        `${'f'.repeat(253)} a`,
        `${'f'.repeat(253)} B`,
        long.slice(0, 254),
        long.slice(0, 253),
      ]) {
        const seen = await storage.claim(claim.id, request({ fingerprint: other }));
        assert.equal(expectKind(seen, 'in_progress').fingerprint, long);
      }
      assert.equal((await mustClaim(storage, claim.id, { fingerprint: long })).attempt, 2);
    },
  },
];
