import type { EntityManager } from 'typeorm';

export { MariaDbIdempotencyRecord } from './mariadb/record.entity.js';
export { IdempotencyRecord } from './postgres/record.entity.js';
export {
  CreateIdempotencyRecords1795305600000,
  createIdempotencyRecords,
} from './migrations/create-idempotency-records.js';
export { CreateOutbox1795478400000, createOutbox } from './migrations/create-outbox.js';
export { CreateOperationLog1795392000000, createOperationLog } from './migrations/create-operation-log.js';
export {
  appendOperation,
  type AppendedOperation,
  type OperationCommand,
} from './operation-log/append-operation.js';
export type { LoggedOperation } from './operation-log/entry.js';
export { MariaDbOperationLogEntry } from './operation-log/mariadb-entry.entity.js';
export { OperationLogEntry } from './operation-log/postgres-entry.entity.js';
export type { RelayRound } from '../outbox/batch.js';
export type { OutboxEvent, OutboxEventMessage, OutboxEventType } from '../outbox/events.js';
export type { OutboxOptions, OutboxRelayOptions, OutboxRetryOptions } from '../outbox/options.js';
export { OutboxRelay } from '../outbox/outbox-relay.js';
export { OutboxModule } from '../outbox/outbox.module.js';
export { Outbox, type AddOptions } from '../outbox/outbox.js';
export {
  OutboxMessageRefusedError,
  type OutboxClient,
  type OutboxEnvelope,
  type PublishOutboxMessage,
} from '../outbox/publish.js';
export { MariaDbOutboxEntry } from './outbox/mariadb-entry.entity.js';
export { OutboxEntry } from './outbox/postgres-entry.entity.js';
export type { NewOutboxMessage, OutboxMessage } from './outbox/message.js';
export type { DeadLetter, OutboxCounts } from './outbox/outbox-table.js';
export { insertOnce, type Inserted, type InsertOnceOptions } from './patterns/insert-once.js';
export { updateVersioned } from './patterns/update-versioned.js';
export { SqliteIdempotencyRecord } from './sqlite/record.entity.js';
export { TransactionEndedError, TransactionMisusedError } from './transaction/errors.js';
export { outsideTransaction } from './transaction/scope.js';
export type { TypeOrmStorageOptions } from './storage-options.js';
export { typeOrmStorage } from './typeorm-storage.js';

declare module '../core/transaction.js' {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- what `op.manager` is with this storage
  interface TransactionManager extends EntityManager {}
}
