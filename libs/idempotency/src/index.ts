export type { Codec, CodecContext } from './core/codec.js';
export type { Duration } from './core/duration.js';
export type { EncryptedOptions } from './core/encrypted-codec.js';
export type { EncryptionKey } from './core/encryption-keys.js';
export {
  IDEMPOTENCY_EVENT_TYPES,
  type IdempotencyEvent,
  type IdempotencyEventType,
} from './core/engine-events.js';
export {
  IDEMPOTENCY_ERROR_CODES,
  IdempotencyError,
  InvalidOptionsError,
  RecordUnreadableError,
  StorageUnavailableError,
  type IdempotencyErrorCode,
} from './core/errors.js';
export type {
  Claim,
  ClaimOutcome,
  ClaimRequest,
  IdempotencyStorage,
  OwnerOutcome,
  PreviousClaim,
  RecordQuery,
  RecordState,
  RecordView,
  ReleaseOptions,
  Renewal,
  Steps,
  StorageHost,
} from './core/idempotency-storage.js';
export {
  CommandReusedError,
  RefusalError,
  VersionAmbiguousError,
  VersionConflictError,
  VersionMissingError,
} from './core/refusals.js';
export type { GzipOptions } from './core/gzip-codec.js';
export type { KeyFormat } from './core/key.js';
export type { StepOptions } from './core/run-steps.js';
export type { StorageTransaction, StorageTransactions, TransactionManager } from './core/transaction.js';
export { etagOf, expectedVersion, type ExpectedVersion } from './http/expected-version.js';
export type { ProblemDetails } from './http/problem-details.js';
export type { Resource } from './http/recorded-response.js';
export type { ReplayHeaders } from './http/replayable-headers.js';
export type { BodySelection } from './http/request-parts.js';
export {
  defaultRecordPolicy,
  type ExecutionOutcome,
  type RecordDecision,
  type RecordPolicy,
} from './http/retention.js';
export { encryptedCodec, gzipCodec } from './nest/codecs.factory.js';
export { Idempotent, SkipIdempotency } from './nest/decorators/idempotent.decorator.js';
export { IdempotencyKey, IdempotentOp } from './nest/decorators/operation-parameters.decorator.js';
export { IdempotencyInterceptor } from './nest/idempotency.interceptor.js';
export { IdempotencyModule } from './nest/idempotency.module.js';
export {
  IdempotencyService,
  type JobOptions,
  type RecordAddress,
  type RecordFilter,
} from './nest/idempotency.service.js';
export { IdempotentOperation } from './nest/idempotent-operation.js';
export type { JobResult } from './nest/job.js';
export {
  bodyKey,
  headerKey,
  messageKey,
  paramKey,
  type KeyFunction,
  type KeySource,
  type NamedKeySource,
} from './nest/key-sources.js';
export type { LocalCacheOptions } from './nest/local-cache-option.js';
export type { HeldLock, LockOptions } from './nest/lock.js';
export { memoryStorage, type MemoryStorageOptions } from './nest/memory-storage.factory.js';
export { NoKeyError } from './nest/no-key.error.js';
export { NoTransactionError } from './nest/no-transaction.error.js';
export type {
  FingerprintFunction,
  IdempotencyModuleOptions,
  IdempotentOptions,
  OperationOptions,
  ScopeFunction,
} from './nest/options.js';
export { IdempotencyException } from './nest/problems.js';
export type { IdempotencyRecordInfo } from './nest/record-info.js';
export type { Resolution } from './nest/resolve-record.js';
