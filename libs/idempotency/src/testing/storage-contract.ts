import { claimCases } from './contract/claim.js';
import { completeCases } from './contract/complete.js';
import type { ContractCase } from './contract/contract-case.js';
import { findCases } from './contract/find.js';
import { inspectionCases } from './contract/inspection.js';
import { isolationCases } from './contract/isolation.js';
import { keepingCases } from './contract/keeping.js';
import { leaseCases } from './contract/lease.js';
import { purgeCases } from './contract/purge.js';
import { releaseCases } from './contract/release.js';
import { renewCases } from './contract/renew.js';
import { sizeCases } from './contract/sizes.js';
import { stepCases } from './contract/steps.js';
import { waitingCases } from './contract/waiting.js';

/**
 * What `IdempotencyStorage` promises, as data: hold a storage of your own to it under any test runner. There is no way
 * to opt out of a clause; `test/storage/broken-storages.ts` shows for each which fault it catches.
 */
export const storageContract: readonly ContractCase[] = [
  ...claimCases,
  ...leaseCases,
  ...renewCases,
  ...completeCases,
  ...releaseCases,
  ...stepCases,
  ...keepingCases,
  ...isolationCases,
  ...sizeCases,
  ...inspectionCases,
  ...findCases,
  ...purgeCases,
  ...waitingCases,
];
