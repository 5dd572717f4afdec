export { IdempotencyRecord } from './record.entity.js';
export {
  CreateIdempotencyRecords1795305600000,
  createIdempotencyRecords,
} from './migrations/create-idempotency-records.js';
export type { TypeOrmStorageOptions } from './storage-options.js';
export { typeOrmStorage } from './typeorm-storage.js';
