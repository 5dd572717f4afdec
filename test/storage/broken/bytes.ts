import type {
  Claim,
  ClaimRequest,
  OwnerOutcome,
} from '../../../libs/idempotency/src/core/idempotency-storage.js';
import { SimpleStorage, type Row } from '../simple-storage.js';
import { broken, type BrokenStorage } from './broken-storage.js';

const IDS = 'isolation: ids are compared byte for byte';
const INPUT = 'isolation: what the caller does to its bytes afterwards does not reach the record';
const OUTPUT = 'isolation: what the caller does to an answer does not reach the record';
const NEIGHBOURS = 'isolation: what happens to one record leaves the others alone';
const STEP_BYTES = 'steps: any bytes are kept as they are, also none and many';
const FINGERPRINT = 'sizes: a fingerprint of 255 bytes is compared to its last byte, case and space';

/** Ids pass through something that takes two of them for one. */
const keyed = (keyOf: (id: string) => string) =>
  class extends SimpleStorage {
    protected override keyOf(id: string): string {
      return keyOf(id);
    }
  };

/** Bytes pass through something on their way in. */
const storing = (taken: (bytes: Uint8Array) => Uint8Array) =>
  class extends SimpleStorage {
    protected override taken(bytes: Uint8Array): Uint8Array {
      return taken(bytes);
    }
  };

/** Fingerprints pass through something before they are compared. */
const comparing = (seen: (fingerprint: string) => string) =>
  class extends SimpleStorage {
    protected override sameRequest(row: Row, request: ClaimRequest): boolean {
      return seen(row.fingerprint) === seen(request.fingerprint);
    }
  };

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8');

export const brokenBytes: readonly BrokenStorage[] = [
  broken(
    'ids are compared without case',
    [IDS],
    keyed((id) => id.toLowerCase()),
  ),
  broken(
    'ids are compared without trailing spaces',
    [IDS],
    keyed((id) => id.trimEnd()),
  ),
  broken(
    'ids are compared without accents',
    [IDS],
    keyed((id) => id.normalize('NFD').replace(/\p{M}/gu, '')),
  ),
  broken(
    'ids are brought into one Unicode form',
    [IDS],
    keyed((id) => id.normalize('NFC')),
  ),
  broken(
    'ids are kept without emoji',
    [IDS],
    keyed((id) => id.replace(/[\u{10000}-\u{10ffff}]/gu, '?')),
  ),
  broken(
    'ids are joined with a separator that they may contain',
    [IDS],
    keyed((id) => id.replace(/[|:]+/g, ':')),
  ),
  broken(
    'ids are cut at 255 characters',
    ['isolation: long ids that differ in their last byte are two records'],
    keyed((id) => id.slice(0, 255)),
  ),
  broken(
    'a release looks for the owner token alone',
    [NEIGHBOURS],
    class extends SimpleStorage {
      override async release(claim: Claim, options: { forget: boolean }): Promise<OwnerOutcome> {
        const ids = [...this.rows.values()]
          .filter((row) => row.owner === claim.ownerToken)
          .map(({ id }) => id);
        const outcomes = ids.map((id) => super.release({ id, ownerToken: claim.ownerToken }, options));
        return (await Promise.all(outcomes)).includes('applied') ? 'applied' : 'lease_lost';
      }
    },
  ),
  broken(
    'forget takes the id for a prefix',
    [NEIGHBOURS],
    class extends SimpleStorage {
      override async forget(id: string): Promise<boolean> {
        const keys = [...this.rows.keys()].filter((key) => key.startsWith(id));
        for (const key of keys) this.rows.delete(key);
        return keys.length > 0;
      }
    },
  ),
  broken(
    'bytes are kept by reference',
    [INPUT],
    storing((bytes) => bytes),
  ),
  broken(
    'bytes are copied by `slice`, which on a Buffer is a view',
    [INPUT],
    storing((bytes) => bytes.slice()),
  ),
  broken(
    'bytes are handed out by reference',
    [OUTPUT],
    class extends SimpleStorage {
      protected override given(bytes: Uint8Array): Uint8Array {
        return bytes;
      }
    },
  ),
  broken(
    'the map of steps is handed out itself',
    [OUTPUT],
    class extends SimpleStorage {
      protected override givenSteps(steps: Map<string, Uint8Array>): Map<string, Uint8Array> {
        return steps;
      }
    },
  ),
  broken(
    'the whole buffer behind a view is stored',
    ['isolation: of a view into a larger buffer only its own bytes are stored'],
    storing((bytes) => new Uint8Array(bytes.buffer.slice(0))),
  ),
  broken(
    'bytes are kept as UTF-8 text',
    ['sizes: a result of every byte value is replayed as it is', STEP_BYTES],
    storing((bytes) => Buffer.from(text(bytes))),
  ),
  broken(
    'bytes end at the first NUL',
    ['sizes: a result of NUL alone is replayed as it is', STEP_BYTES],
    storing((bytes) => bytes.slice(0, bytes.includes(0) ? bytes.indexOf(0) : undefined)),
  ),
  broken(
    'bytes are cut at 64 KiB',
    ['sizes: a result of 1 MiB is replayed as it is', STEP_BYTES],
    storing((bytes) => Uint8Array.from(bytes.slice(0, 65_535))),
  ),
  broken(
    'text is kept in a character set without emoji',
    ['sizes: a text of many scripts is replayed as it is'],
    storing((bytes) => Buffer.from(text(bytes).replace(/[\u{10000}-\u{10ffff}]/gu, '?'))),
  ),
  broken(
    'an empty result is taken for none',
    ['sizes: an empty result is replayed as it is'],
    class extends SimpleStorage {
      override async complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
        const outcome = await super.complete(claim, result, ttlMs);
        const row = this.live(claim.id);
        if (row?.result?.length === 0) row.result = undefined;
        return outcome;
      }
    },
  ),
  broken(
    'an empty fingerprint is taken for any',
    ['sizes: an empty fingerprint is a fingerprint like any other'],
    class extends SimpleStorage {
      protected override sameRequest(row: Row, request: ClaimRequest): boolean {
        return row.fingerprint === '' || super.sameRequest(row, request);
      }
    },
  ),
  broken(
    'fingerprints are compared without case',
    [FINGERPRINT],
    comparing((seen) => seen.toLowerCase()),
  ),
  broken(
    'fingerprints are compared by 64 characters',
    [FINGERPRINT],
    comparing((seen) => seen.slice(0, 64)),
  ),
];
