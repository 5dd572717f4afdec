import Sequencer from '@jest/test-sequencer';
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';

/**
 * What takes longest on a fresh checkout, where Jest knows no durations and goes by the size of files. At the end a long suite
 * would leave the other worker without work; and what runs thousands of tests takes half as long in a worker that is new.
 */
const LONGEST = [
  'test/faults/two-processes.spec.ts',
  'test/http/responses/responses-2.spec.ts',
  'test/http/responses/responses-1.spec.ts',
  'test/demo/crash-demo.spec.ts',
  'test/faults/redis-cluster-failover.spec.ts',
  'test/transaction/crashes.spec.ts',
  'test/faults/redis-sentinel-failover.spec.ts',
  'test/orders/launcher.spec.ts',
  'test/package/packed-library.spec.ts',
  'test/orders/payments-launcher.spec.ts',
  'test/storage/mariadb-outage.spec.ts',
  'test/storage/mariadb-storage.spec.ts',
  'test/steps/saga.spec.ts',
  'test/storage/sqlite-processes.spec.ts',
  'test/storage/redis-wait-replicas.spec.ts',
  'test/storage/redis-failover.spec.ts',
  'test/http/early-answers/departed-streams.spec.ts',
  'test/transaction/endings.spec.ts',
  'test/patterns/locks.spec.ts',
  'test/payments/ledger.spec.ts',
  'test/transaction/full-pool.spec.ts',
];

/** Jest's own order, but for those. */
export default class LongestFirst extends Sequencer {
  sort(tests) {
    const root = tests[0]?.context.config.rootDir ?? '';
    const gone = LONGEST.filter((file) => tests.length > 0 && !existsSync(join(root, file)));
    if (gone.length > 0)
      throw new Error(`test/support/longest-first.js names ${gone.join(', ')}: no such file.`);
    return super.sort(tests).sort((a, b) => rank(a) - rank(b));
  }
}

function rank({ path, context }) {
  const at = LONGEST.indexOf(relative(context.config.rootDir, path));
  return at === -1 ? LONGEST.length : at;
}
