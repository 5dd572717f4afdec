import type { EntityManager } from 'typeorm';

export { MariaDbIdempotencyRecord } from './mariadb/record.entity.js';
export { IdempotencyRecord } from './postgres/record.entity.js';
export {
  CreateIdempotencyRecords1795305600000,
  createIdempotencyRecords,
} from './migrations/create-idempotency-records.js';
export { CreateOperationLog1795392000000, createOperationLog } from './migrations/create-operation-log.js';
export {
  appendOperation,
  type AppendedOperation,
  type OperationCommand,
} from './operation-log/append-operation.js';
export type { LoggedOperation } from './operation-log/entry.js';
export { MariaDbOperationLogEntry } from './operation-log/mariadb-entry.entity.js';
export { OperationLogEntry } from './operation-log/postgres-entry.entity.js';
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
