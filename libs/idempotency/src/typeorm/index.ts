export { MariaDbIdempotencyRecord } from './mariadb/record.entity.js';
export { IdempotencyRecord } from './postgres/record.entity.js';
export {
  CreateIdempotencyRecords1795305600000,
  createIdempotencyRecords,
} from './migrations/create-idempotency-records.js';
export { SqliteIdempotencyRecord } from './sqlite/record.entity.js';
export type { TypeOrmStorageOptions } from './storage-options.js';
export { typeOrmStorage } from './typeorm-storage.js';
