import { createHash } from 'node:crypto';
import type { RunSteps, StepOptions } from '../core/run-steps.js';
import type { TransactionManager } from '../core/transaction.js';
import type { Resource } from '../http/recorded-response.js';
import { NoKeyError } from './no-key.error.js';
import { NoTransactionError } from './no-transaction.error.js';

/**
 * What a handler sees of the operation it runs in: `@IdempotentOp() op: IdempotentOperation`.
 *
 * A class and not an interface, so that it can stand in a decorated signature without `import type`.
 */
export abstract class IdempotentOperation {
  /** The key that the client sent; undefined when none was needed and none was sent. */
  abstract readonly key: string | undefined;
  /** Number of this run for this record, from 1. */
  abstract readonly attempt: number;
  /** An earlier run ended without an outcome: a crash, or a lease that ran out. */
  abstract readonly takenOver: boolean;
  /** Aborts when the lease is lost: another run may have begun. */
  abstract readonly signal: AbortSignal;
  /**
   * Ties together everything that comes of one request: the trace id of its `traceparent`, else its `x-request-id`, else a
   * new UUID. Of the request that runs now: a retry brings its own.
   */
  abstract readonly correlationId: string;
  /** Results of the steps that are done, of earlier attempts too: for `recover`, to see how far those came. */
  abstract readonly finishedSteps: ReadonlyMap<string, unknown>;
  /**
   * Does something outside of the database once for all attempts: its result is kept with the record, and the attempt after
   * a crash gets that instead. A crash before it is kept runs `fn` again, so give the other side a key:
   * `op.deriveKey(name)`. Without a record (no key, or `onStorageFailure: 'run'`) it just runs.
   *
   * @param name one per step, the same on each attempt: 1 to 200 bytes
   * @param fn its result must be plain data, which comes back from JSON as it is
   * @param options `undo`: takes it back when the operation ends for good in an error
   * @throws what `fn` throws: then nothing is kept, and the name may be used again
   * @throws IdempotencyException `step-reused`, `step-not-storable`, `storage-unavailable`, or `key-in-progress` once the lease
   *   is lost, so that nothing more is done beside another run
   */
  abstract step<T>(name: string, fn: () => T | Promise<T>, options?: StepOptions<T>): Promise<T>;
  /**
   * With `transactional`: the entity manager of the transaction that the handler shares with its record. Repositories and the
   * DataSource join it by themselves; this is the same by hand.
   *
   * @throws NoTransactionError (`no-transaction`) where there is none
   */
  abstract readonly manager: TransactionManager;
  /** Names what the handler made, so that an answer that could not be kept can be found or rebuilt. */
  abstract setResource(type: string, id: string | number): void;
  /**
   * A key for a call to another service, the same on every attempt of this operation and another one per name.
   *
   * @throws NoKeyError (`no-key`) when the client sent no key
   */
  abstract deriveKey(name: string): string;
}

export interface OperationFacts {
  readonly key: string | undefined;
  readonly recordId: string | undefined;
  readonly attempt: number;
  readonly takenOver: boolean;
  readonly signal: AbortSignal;
  readonly correlationId: string;
  readonly steps: RunSteps;
  readonly manager?: () => TransactionManager | undefined;
}

export class RunningOperation extends IdempotentOperation {
  override key!: string | undefined;
  override attempt!: number;
  override takenOver!: boolean;
  override signal!: AbortSignal;
  override correlationId!: string;
  private steps!: RunSteps;
  private recordId: string | undefined;
  private ofTransaction: OperationFacts['manager'];
  private onResource!: (resource: Resource) => void;

  constructor(facts: OperationFacts, onResource: (resource: Resource) => void) {
    super();
    this.become(facts, onResource);
  }

  /** An upload is claimed when its handler is about to run, and parameter decorators have handed it its operation by then. */
  become(facts: OperationFacts, onResource: (resource: Resource) => void): void {
    this.key = facts.key;
    this.recordId = facts.recordId;
    this.attempt = facts.attempt;
    this.takenOver = facts.takenOver;
    this.signal = facts.signal;
    this.correlationId = facts.correlationId;
    this.steps = facts.steps;
    this.ofTransaction = facts.manager;
    this.onResource = onResource;
  }

  override get manager(): TransactionManager {
    const manager = this.ofTransaction?.();
    if (manager === undefined) throw new NoTransactionError();
    return manager;
  }

  override get finishedSteps(): ReadonlyMap<string, unknown> {
    return this.steps.finished;
  }

  /** Whether this attempt has saved something that must not be forgotten. */
  get hasSavedSteps(): boolean {
    return this.steps.hasSaved;
  }

  override step<T>(name: string, fn: () => T | Promise<T>, options?: StepOptions<T>): Promise<T> {
    return this.steps.step(name, fn, options);
  }

  override setResource(type: string, id: string | number): void {
    this.onResource({ type: String(type), id: String(id) });
  }

  override deriveKey(name: string): string {
    if (this.recordId === undefined) throw new NoKeyError(name);
    const digest = createHash('sha256').update(`${this.recordId}\n${name}`).digest('hex');
    // A UUID (version 8, RFC 9562) is what most services take for a key.
    const variant = ((parseInt(digest.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
    return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-8${digest.slice(13, 16)}-${variant}${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
  }
}
