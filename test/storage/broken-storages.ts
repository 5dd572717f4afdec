import type { BrokenStorage } from './broken/broken-storage.js';
import { brokenBytes } from './broken/bytes.js';
import { brokenClaims } from './broken/claiming.js';
import { brokenKeeping } from './broken/keeping.js';
import { brokenViews } from './broken/looking.js';
import { brokenOwners } from './broken/owning.js';
import { brokenRaces } from './broken/racing.js';
import { brokenReleases } from './broken/releasing.js';
import { brokenRenewals } from './broken/renewing.js';
import { brokenSteps } from './broken/steps.js';
import { brokenTakeovers } from './broken/taking-over.js';

/**
 * The test of the storage contract: storages with one planted fault each, and the clauses that must catch it. Faults of
 * real servers that memory cannot have (replication, eviction, a real transaction's `now()`) are in the servers' specs.
 */
export const brokenStorages: readonly BrokenStorage[] = [
  ...brokenClaims,
  ...brokenTakeovers,
  ...brokenRaces,
  ...brokenOwners,
  ...brokenRenewals,
  ...brokenReleases,
  ...brokenSteps,
  ...brokenKeeping,
  ...brokenBytes,
  ...brokenViews,
];
