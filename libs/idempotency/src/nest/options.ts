import type { ExecutionContext } from '@nestjs/common';
import type { Codec } from '../core/codec.js';
import type { Duration } from '../core/duration.js';
import type { IdempotencyStorage } from '../core/idempotency-storage.js';
import type { KeyFormat } from '../core/key.js';
import type { Resource } from '../http/recorded-response.js';
import type { ReplayHeaders } from '../http/replayable-headers.js';
import type { BodySelection } from '../http/request-parts.js';
import type { RecordPolicy } from '../http/retention.js';
import type { IdempotentOperation } from './idempotent-operation.js';
import type { KeySource } from './key-sources.js';
import type { LocalCacheOptions } from './local-cache-option.js';

/** Who the caller is, for `scope`. */
export type ScopeFunction = (context: ExecutionContext) => unknown;

/** Anything that says what the request is; two requests with equal answers are the same. */
export type FingerprintFunction = (context: ExecutionContext) => unknown;

/** Options that the module sets for all operations and a decorator may override for one. */
export interface OperationOptions {
  /**
   * How long a completed record is kept, from its completion: as long as anybody may retry.
   *
   * @default '24h'
   */
  readonly ttl?: Duration;

  /**
   * Where the key is: `headerKey(name)`, `bodyKey(path)`, `paramKey(name)`, `messageKey(path)` for messages and arguments
   * of GraphQL, a function, or a list of which the first that finds one counts.
   *
   * @default headerKey('Idempotency-Key')
   */
  readonly key?: KeySource | readonly KeySource[];

  /**
   * Whether a request without a key is refused with 400 `key-missing`. With `false` its handler runs unprotected.
   *
   * @default true
   */
  readonly required?: boolean;

  /**
   * What a key looks like, beside 1 to 255 bytes of printable ASCII: `'uuid'`, `'strong'` (16 bytes or more, not only
   * digits, not the scope), a RegExp or a function.
   */
  readonly keyFormat?: KeyFormat;

  /**
   * Whose key it is. One user's key never gets another user's answer. A configured scope that yields nothing, or an
   * object, is an error (500 `scope-missing`) and the handler does not run.
   *
   * @default `request.user`'s `id`, `sub` or `userId`; without a user `anonymous`, with a warning
   */
  readonly scope?: ScopeFunction;

  /**
   * What makes two requests the same: members of the body to `{ include }` or `{ exclude }`, a function whose answer is
   * compared, or `false` for no comparison at all. Of an upload they are fields; its files (name, media type, SHA-256) are
   * compared in any case, except those of an excluded field.
   *
   * @default method, path, sorted query and canonical body
   */
  readonly fingerprint?: BodySelection | FingerprintFunction | false;

  /**
   * What a duplicate gets while the first is running: 409 at once, or the recorded outcome within `waitTimeout`. Messages
   * wait unless it is set.
   *
   * @default 'reject'
   */
  readonly inFlight?: 'reject' | 'wait';

  /**
   * How long `inFlight: 'wait'` waits before it answers 409.
   *
   * @default '5s'
   */
  readonly waitTimeout?: Duration;

  /**
   * How long one attempt may stay silent before another request may take its place.
   *
   * Too short runs a slow handler twice; too long delays recovery after a crash. It is renewed while the handler runs, so
   * only a crash or a blocked event loop outlasts it.
   *
   * @default '30s'
   */
  readonly lease?: Duration;

  /**
   * How long the lease is renewed at most. A handler that runs longer may be run a second time.
   *
   * @default '10m'
   */
  readonly maxRun?: Duration;

  /**
   * Which outcomes are final.
   *
   * @default keeps what returned, and what threw with a status below 500 other than 408, 425 and 429
   */
  readonly record?: RecordPolicy;

  /**
   * Which headers are kept for replays: `{ include }`, `{ exclude }` or a function of the lower-case name. Those of the
   * exchange itself (`Date`, `Set-Cookie`, CORS, rate limits) never are.
   *
   * @default all others
   */
  readonly replayHeaders?: ReplayHeaders;

  /**
   * Largest body that is kept, in bytes. A larger response is sent, but its replay is rebuilt by `replayWith` or refused.
   *
   * @default 1_048_576
   */
  readonly maxResponseBytes?: number;

  /** Makes the answer anew for a record whose answer was not kept, from the resource that the handler named. */
  readonly replayWith?: (resource: Resource, context: ExecutionContext) => unknown;

  /**
   * What happens while the storage is down: 503, or the handler runs unprotected.
   *
   * @default 'reject'
   */
  readonly onStorageFailure?: 'reject' | 'run';

  /**
   * How long a request waits for the storage.
   *
   * @default '1s'
   */
  readonly storageTimeout?: Duration;

  /**
   * Called first when an earlier run crashed: answers what that run would have answered if its effect happened, or
   * `undefined`, and then the handler runs.
   */
  readonly recover?: (operation: IdempotentOperation, context: ExecutionContext) => unknown;

  /**
   * After a crash: run the handler again, or answer 409 `outcome-unknown` until `IdempotencyService.resolve` decides.
   *
   * @default 'rerun'
   */
  readonly onAbandoned?: 'rerun' | 'refuse';

  /**
   * What results and steps go through on their way to the storage and back: `gzipCodec()`, `encryptedCodec({ keys })`, one of
   * your own, or a list. A list is applied from left to right on writing, from right to left on reading; `[]` is none.
   *
   * @default none: they are stored as they are
   */
  readonly codec?: Codec | readonly Codec[];

  /**
   * Completed records are answered from the memory of this process, without the storage: `{ maxBytes, ttl: '10s' }`. What
   * another process removes is still answered here for `ttl`. Each object is a cache of its own: that of the module is
   * shared by all operations without one.
   *
   * @default false
   */
  readonly localCache?: LocalCacheOptions | false;

  /**
   * The handler's writes to the storage's database and its record commit in one transaction, or none of them: exactly one
   * effect, also when the process dies between the two. With `typeOrmStorage()` on PostgreSQL or MariaDB; elsewhere refused at
   * boot. `{ isolation: 'SERIALIZABLE' }` chooses a level.
   *
   * A retry can meet 503 `commit-failed`, and is to be sent once more.
   *
   * @default false
   */
  readonly transactional?: boolean | { readonly isolation: string };
}

/** Options of one `@Idempotent()`. */
export interface IdempotentOptions extends OperationOptions {
  /**
   * A stable name, part of every record's identity. Set it before you rename a route, or on a route and a consumer alike,
   * to share their records.
   *
   * @default method and route template, for example `POST /orders/:id/payments`; transport and pattern; `Mutation.createOrder`
   */
  readonly operation?: string;
}

/** Options of `IdempotencyModule.forRoot()`. */
export interface IdempotencyModuleOptions extends OperationOptions {
  /** Separates apps that share one storage. Needed for every storage but memory. */
  readonly namespace?: string;

  /** Where records are kept. Without one they live in this process's memory: for development only. */
  readonly storage?: IdempotencyStorage;

  /**
   * `'decorated'`: no global interceptor, only that of each `@Idempotent()`.
   *
   * @default 'global'
   */
  readonly interceptor?: 'global' | 'decorated';

  /** A page with a heading per error code: `type` of every problem, and a `Link` header. */
  readonly docsUrl?: string;
}
