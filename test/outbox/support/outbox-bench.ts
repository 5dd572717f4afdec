import { randomUUID } from 'node:crypto';
import type { DataSource, DataSourceOptions } from 'typeorm';
import { CreateOutbox1795478400000 } from '../../../libs/idempotency/src/typeorm/migrations/create-outbox.js';
import { openOutboxTable } from '../../../libs/idempotency/src/typeorm/outbox/open-outbox-table.js';
import type {
  ClaimedMessage,
  ClaimRequest,
  MessageRow,
  OutboxTable,
} from '../../../libs/idempotency/src/typeorm/outbox/outbox-table.js';
import type { Kind } from '../../patterns/support/databases.js';

/** An outbox on a database of its own. */
export interface OutboxBench {
  readonly dataSource: DataSource;
  readonly table: OutboxTable;
  readonly isPostgres: boolean;
  /** In a transaction, in this order. `undefined` is no aggregate. */
  add(...messages: readonly (string | undefined | Partial<MessageRow>)[]): Promise<readonly string[]>;
  claim(more?: Partial<ClaimRequest>): Promise<Claimed>;
  /** All that are waiting become due; of one owner if it is said. As if the time had passed. */
  lapse(owner?: string): Promise<void>;
  /** Holds the rows of these messages until `end`, as somebody else's transaction. */
  lock(...ids: readonly string[]): Promise<{ end(): Promise<void> }>;
}

export interface Claimed {
  readonly owner: string;
  readonly messages: readonly ClaimedMessage[];
  /** Their ids. */
  readonly ids: readonly string[];
  readonly sequences: readonly string[];
}

export function messageRow(more: Partial<MessageRow> = {}): MessageRow {
  const defaults = { pattern: 'orders.placed', payload: '{"a":1}', headers: '{}', correlationId: 'c-1' };
  return { id: randomUUID(), aggregate: undefined, ...defaults, ...more };
}

export async function openBench(kind: Kind, more: Partial<DataSourceOptions> = {}): Promise<OutboxBench> {
  const migrations = [CreateOutbox1795478400000];
  const options = { synchronize: false, migrations, migrationsRun: true, ...more };
  return benchOver(await kind.open([], options));
}

export async function benchOver(dataSource: DataSource): Promise<OutboxBench> {
  const table = await openOutboxTable(dataSource, undefined);
  const isPostgres = dataSource.options.type === 'postgres';
  const now = isPostgres
    ? 'clock_timestamp()'
    : `(timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) div 1000)`;
  return {
    dataSource,
    table,
    isPostgres,
    async add(...messages) {
      const rows = messages.map((one) => messageRow(typeof one === 'object' ? one : { aggregate: one }));
      await dataSource.transaction((manager) => table.insert(manager.queryRunner!, rows));
      return rows.map(({ id }) => id);
    },
    async claim(more = {}) {
      const owner = randomUUID();
      const request = { owner, limit: 100, perAggregate: 10, leaseMs: 60_000, ...more };
      const messages = await table.claim(request);
      const [ids, sequences] = [messages.map(({ id }) => id), messages.map(({ sequence }) => sequence)];
      return { owner: request.owner, messages, ids, sequences };
    },
    async lapse(owner) {
      const whose = owner === undefined ? '' : `and owner = '${owner}'`;
      await dataSource.query(
        `update outbox_messages set due_at = ${now} where delivered_at is null and due_at > ${now} ${whose}`,
      );
    },
    async lock(...ids) {
      const runner = dataSource.createQueryRunner();
      await runner.startTransaction('READ COMMITTED');
      const list = ids.map((id) => `'${id}'`).join();
      await runner.query(`select 1 from outbox_messages where id in (${list}) for update`);
      return {
        async end() {
          await runner.rollbackTransaction();
          await runner.release();
        },
      };
    },
  };
}
