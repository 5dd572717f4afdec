import { Inject, Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { durationMs, PLAIN_NUMBER_LIMIT_S, type Duration } from '../core/duration.js';
import type { IdempotencyEvent, IdempotencyEventType } from '../core/engine-events.js';
import { InvalidOptionsError } from '../core/errors.js';
import { fingerprintOf } from '../core/fingerprint.js';
import type { RecordState } from '../core/idempotency-storage.js';
import { keyProblem } from '../core/key.js';
import { operationPrefix, recordId } from '../core/record-id.js';
import type { Resource } from '../http/recorded-response.js';
import { correlationIdOf, newCorrelationId } from './correlation-id.js';
import type { IdempotentOperation } from './idempotent-operation.js';
import { IdempotencyRuntime } from './idempotency-runtime.js';
import { withLock, type HeldLock, type LockOptions } from './lock.js';
import { operatorCall } from './operator-call.js';
import { runJob, type JobResult } from './job.js';
import { checkOperation, oneOf } from './option-shapes.js';
import { describeRecord, type IdempotencyRecordInfo } from './record-info.js';
import { scopeText } from './caller.js';
import { resolveRecord, type Resolution } from './resolve-record.js';
import { IDEMPOTENCY_RUNTIME } from './tokens.js';
import { transactionalOf, transactionsOf, type TransactionalOption } from './transactional-option.js';

/** Which record: the same three values that made it. */
export interface RecordAddress {
  readonly operation: string;
  readonly key: string;
  /** User or tenant; leave it out for records that were made without one. */
  readonly scope?: string | number | bigint | undefined;
}

/** What `IdempotencyService.run()` is to do once. */
export interface JobOptions extends RecordAddress {
  /** What the work is done with: the same key with another fingerprint is refused. Any JSON value. */
  readonly fingerprint?: unknown;
  /** @default the module's `ttl` */
  readonly ttl?: Duration;
  /** What a duplicate gets while the first is running. @default the module's `inFlight` */
  readonly inFlight?: 'reject' | 'wait';
  /** Ties the job to what else came of what asked for it; `op.correlationId`. @default a new UUID */
  readonly correlationId?: string;
  /** Its writes and its record commit together: see the option of the same name. @default the module's `transactional` */
  readonly transactional?: boolean | { readonly isolation: string };
}

/** Which records `IdempotencyService.find()` walks over; without any of these all of the namespace. */
export interface RecordFilter {
  readonly state?: RecordState;
  readonly operation?: string;
  /** Only records first claimed at least this long ago. */
  readonly olderThan?: Duration;
  /** Only completed records whose handler named this resource. */
  readonly resource?: Resource;
}

/** Idempotency for code that is not a route, and the operator's view of the records. */
@Injectable()
export class IdempotencyService {
  constructor(@Inject(IDEMPOTENCY_RUNTIME) private readonly runtime: IdempotencyRuntime) {}

  /**
   * Everything that happens to records, as it happens. Also on diagnostics channels `nestjs-idempotent:<type>`.
   *
   * A subscriber must be quick and must not throw: RxJS rethrows what it throws as an uncaught exception.
   */
  get events$(): Observable<IdempotencyEvent> {
    return this.runtime.events.asObservable();
  }

  /** How often each event has happened in this process. */
  counters(): ReadonlyMap<IdempotencyEventType, number> {
    return new Map(this.runtime.counters);
  }

  /**
   * Runs work once per key: in a job, a command handler, a script. Its result must survive JSON to be replayed.
   *
   * @throws IdempotencyException as a route would answer: `key-in-progress`, `key-reused`, `storage-unavailable`, …
   */
  async run<T>(
    options: JobOptions,
    work: (op: IdempotentOperation) => T | Promise<T>,
  ): Promise<JobResult<T>> {
    const { defaults, problems } = this.runtime;
    checkOperation(options.operation);
    const reason =
      typeof options.key === 'string' ? keyProblem(options.key, undefined, undefined) : 'it is not a string';
    if (reason !== undefined) throw problems.keyMalformed('`key`', reason);
    const ttlMs =
      options.ttl === undefined ? defaults.ttlMs : durationMs('ttl', options.ttl, PLAIN_NUMBER_LIMIT_S.ttl);
    const request = {
      ...defaults,
      id: this.recordId(options),
      operation: options.operation,
      fingerprint: fingerprintOf(options.fingerprint),
      ttlMs,
      inFlight: oneOf('inFlight', options.inFlight ?? defaults.inFlight, ['reject', 'wait']),
      takeOver: defaults.onAbandoned === 'rerun',
      transactional: this.transactionalFor(options),
      correlationId: this.correlationFor(options),
    };
    return runJob(this.runtime, request, options.key, work);
  }

  /**
   * Does something while nobody else who asks for the same lock does, in any process of this namespace. The lease is renewed as
   * long as `fn` runs; a holder that dies frees the lock when its lease is over. Not reentrant: who holds a lock and asks
   * for it again is refused like anybody else.
   *
   * A lock keeps two apart that would work at the same time. It is no proof that something was done once: that is what a key,
   * a version or a unique constraint is for.
   *
   * @param name of what is locked, for example `order:user_123`; only its hash is stored
   * @returns what `fn` returns; what it throws is thrown once the lock is released
   * @throws IdempotencyException `lock-held` (409, `Retry-After`), `storage-unavailable`
   */
  withLock<T>(
    name: string,
    options: LockOptions,
    fn: (lock: HeldLock) => T | Promise<T>,
  ): Promise<Awaited<T>> {
    return withLock(this.runtime, name, options, fn);
  }

  private correlationFor({ correlationId }: JobOptions): string {
    if (correlationId === undefined) return newCorrelationId();
    const id = correlationIdOf(correlationId);
    if (id !== undefined) return id;
    throw new InvalidOptionsError(
      '`correlationId` must be 1 to 128 bytes of printable ASCII without spaces: it stands in logs and headers.',
    );
  }

  /** @throws InvalidOptionsError where the storage cannot promise it */
  private transactionalFor({ operation, transactional }: JobOptions): TransactionalOption | undefined {
    const { defaults, storage } = this.runtime;
    if (transactional === undefined) return defaults.transactional;
    const chosen = transactionalOf(transactional, {
      required: true,
      onStorageFailure: defaults.onStorageFailure,
    });
    if (chosen) transactionsOf(storage, [{ where: `run({ operation: '${operation}' })`, ...chosen }]);
    return chosen;
  }

  /** The id of a record, for the calls below and for looking into the storage. Opaque: it may change before 1.0. */
  recordId({ operation, scope, key }: RecordAddress): string {
    const { namespace } = this.runtime;
    const name = scopeText(scope);
    if (scope !== undefined && name === undefined) {
      throw new TypeError(
        '`scope` must be a string, a number or a bigint that names somebody; anything else would be equal for two.',
      );
    }
    return recordId({ namespace, operation, scope: name, key });
  }

  /** The record as it is now; undefined when there is none. */
  async inspect(id: string): Promise<IdempotencyRecordInfo | undefined> {
    const record = await operatorCall(this.runtime, () => this.runtime.storage.get(id));
    return record && describeRecord(record, this.runtime);
  }

  /** Records of this namespace, walked without a lock. */
  async *find(filter: RecordFilter = {}): AsyncGenerator<IdempotencyRecordInfo> {
    const { state, operation, olderThan, resource } = filter;
    const query = {
      idPrefix: operationPrefix(this.runtime.namespace, operation),
      ...(state === undefined ? {} : { state }),
      ...(olderThan === undefined ? {} : { minAgeMs: durationMs('olderThan', olderThan, Infinity) }),
    };
    const records = this.runtime.storage.find(query)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await operatorCall(this.runtime, () => records.next(), MAINTENANCE_MS);
        if (next.done === true) return;
        const info = await describeRecord(next.value, this.runtime);
        const named = info.resource;
        if (resource === undefined || (named?.type === resource.type && named.id === resource.id)) yield info;
      }
    } finally {
      // Whoever breaks off early ends the storage's walk too. One that hangs is not waited for.
      void Promise.resolve(records.return?.()).catch(() => {});
    }
  }

  /**
   * Removes a record: the next request with its key runs. `true` when there was one. Other processes with a `localCache` may
   * answer for it until their `ttl` is over.
   */
  forget(id: string): Promise<boolean> {
    const { storage, engine } = this.runtime;
    const forget = async () => {
      try {
        return await storage.forget(id);
      } finally {
        // Also when the answer comes too late for the caller.
        engine.forgetCached(id);
      }
    };
    return operatorCall(this.runtime, forget);
  }

  /** Removes records whose time is over, in batches. Storages that expire by themselves answer 0. */
  async purgeExpired(): Promise<number> {
    let total = 0;
    for (;;) {
      const { storage } = this.runtime;
      const removed = await operatorCall(
        this.runtime,
        () => storage.purgeExpired(PURGE_BATCH),
        MAINTENANCE_MS,
      );
      total += removed;
      if (removed < PURGE_BATCH) return total;
    }
  }

  /**
   * Decides a record whose run ended without an outcome: `'rerun'` lets the next retry run, an answer is what every
   * retry gets from now on.
   *
   * @throws IdempotencyException `key-in-progress` while a run is alive
   * @throws Error when there is no such record, or it is completed already
   */
  resolve(id: string, resolution: Resolution): Promise<void> {
    return resolveRecord(this.runtime, id, resolution);
  }
}

const PURGE_BATCH = 1000;
/**
 * Bounds one step of a walk or of a purge. A thousand rows on a busy disk, or millions of keys before the next match, take
 * their time, and no request waits for them.
 */
const MAINTENANCE_MS = 30_000;
