import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { storageContract } from '../../libs/idempotency/src/testing/index.js';
import { createIdempotencyRecords } from '../../libs/idempotency/src/typeorm/index.js';
import { brokenClauses } from '../support/broken-clauses.js';
import { useSqlite } from '../support/sqlite-fixture.js';
import { describeContract } from './contract-column.js';

const sqlite = useSqlite();

/** The clock is the host's, so time passes by waiting. */
const advance = (ms: number) => sleep(ms);

describeContract('SQLite', async () => {
  const dataSource = await sqlite.migrated();
  const peer = await sqlite.peer(dataSource);
  return { storage: await sqlite.storage({ dataSource }), openPeer: async () => peer.storage, advance };
});

describe('typeOrmStorage keeps the whole contract on SQLite', () => {
  it('with two instances in one process, in a table with another name', async () => {
    const dataSource = await sqlite.empty({
      migrations: [createIdempotencyRecords('Keys_2')],
      migrationsRun: true,
    });
    const [storage, peer] = [
      await sqlite.storage({ dataSource, table: 'Keys_2' }),
      await sqlite.storage({ dataSource, table: 'Keys_2' }),
    ];
    const harness = { storage, openPeer: async () => peer, advance };
    expect(await brokenClauses(storageContract, harness)).toEqual([]);
  }, 60_000);
});
