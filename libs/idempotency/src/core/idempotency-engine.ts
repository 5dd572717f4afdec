import { within } from './bounded.js';
import { Claimer } from './claimer.js';
import type { Codec } from './codec.js';
import type { EventListener, IdempotencyEvent, IdempotencyEventType } from './engine-events.js';
import { RecordUnreadableError, StorageUnavailableError } from './errors.js';
import { ForeignRuns } from './foreign-runs.js';
import type { IdempotencyStorage } from './idempotency-storage.js';
import { LeaseKeeper } from './lease-keeper.js';
import { LocalCaches, type LocalCacheTerms } from './local-caches.js';
import { LocalRuns, type Led } from './local-runs.js';
import { OperationCodecs } from './operation-codecs.js';
import type { Clock, Randomness, Timers } from './ports.js';
import { operationOf } from './record-id.js';
import { RecordedAnswers, replayOf, unreadable } from './recorded-answers.js';
import type { StoredResult } from './result.js';
import type { RunTools } from './run-terms.js';
import type { Run } from './run.js';
import { TimerScope } from './timer-scope.js';

export interface EngineOptions {
  readonly storage: IdempotencyStorage;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly randomness: Randomness;
  /** Bounds renewals; each request brings its own bound for the rest. */
  readonly storageTimeoutMs: number;
  /** The codec of operations that have none of their own. */
  readonly codec?: Codec | undefined;
  /** Hears of everything that happens to records. What it throws is lost: it must not reach a request. */
  readonly onEvent: EventListener;
}

export interface BeginRequest {
  readonly id: string;
  /** For logs and events. */
  readonly operation: string;
  readonly fingerprint: string;
  readonly ttlMs: number;
  readonly leaseMs: number;
  readonly maxRunMs: number;
  readonly inFlight: 'reject' | 'wait';
  readonly waitTimeoutMs: number;
  readonly storageTimeoutMs: number;
  /** `false`: a run that crashed is reported as `abandoned` and nobody runs. */
  readonly takeOver: boolean;
  /** What the record's result and steps go through. */
  readonly codec?: Codec | undefined;
  /** Ties what is recorded and told of it to what else came of the request. */
  readonly correlationId?: string | undefined;
  /** Which cache of this process may answer, and keeps what the storage answers. */
  readonly localCache?: LocalCacheTerms | undefined;
}

export type BeginOutcome =
  /** The caller may run, and must end the run by `complete` or `release`. */
  | { readonly kind: 'run'; readonly run: Run }
  | { readonly kind: 'replay'; readonly result: StoredResult; readonly expiresInMs: number }
  | { readonly kind: 'in_progress'; readonly retryAfterMs: number }
  /** The key was first used with another request. */
  | { readonly kind: 'reused' }
  | { readonly kind: 'abandoned' }
  | { readonly kind: 'unavailable'; readonly error: unknown }
  /** Something has happened for this key, and it cannot be read: for good, or (StorageUnavailableError) now. Nobody may run. */
  | { readonly kind: 'unreadable'; readonly error: RecordUnreadableError | StorageUnavailableError };

/** Claim → run → complete or release, once per record, whoever asks and however often. Knows nothing of HTTP. */
export class IdempotencyEngine {
  readonly codecs: OperationCodecs;
  private readonly local: LocalRuns;
  private readonly caches: LocalCaches;
  private readonly answers: RecordedAnswers;
  private readonly foreign: ForeignRuns<Led>;
  private readonly keeper: LeaseKeeper;
  private readonly timers: TimerScope;

  constructor(private readonly options: EngineOptions) {
    const { storage, clock, randomness, storageTimeoutMs } = options;
    const timers = (this.timers = new TimerScope(options.timers));
    const caches = (this.caches = new LocalCaches(clock));
    this.answers = new RecordedAnswers(caches, clock, timers);
    this.codecs = new OperationCodecs(options.codec);
    this.keeper = new LeaseKeeper(storage, clock, timers, storageTimeoutMs, (error) =>
      this.emit('storage-failed', '', '', error),
    );
    const claimer = new Claimer(storage, clock, timers, randomness, (id, error) =>
      this.emit('storage-failed', id, operationOf(id), error),
    );
    const emit: RunTools['emit'] = (type, run, error) => this.emit(type, run.id, run.operation, error, run);
    const tools = { storage, clock, timers, randomness, keeper: this.keeper, caches, emit };
    this.local = new LocalRuns(claimer, tools);
    this.foreign = new ForeignRuns(clock, timers, randomness, storage.waitForChange?.bind(storage));
  }

  /** How many records this process is claiming or running now. */
  get running(): number {
    return this.local.size;
  }

  /** Asks to run, and answers what the caller must do. Never rejects for what a storage does. */
  async begin(request: BeginRequest): Promise<BeginOutcome> {
    this.codecs.learn(request.operation, request.codec);
    const outcome = await this.decide(request);
    const type = eventOf(outcome);
    const error = 'error' in outcome ? outcome.error : undefined;
    if (type !== undefined) this.emit(type, request.id, request.operation, error, request);
    return outcome;
  }

  /** Must be called when a record was removed by hand: this process answers for it no more. */
  forgetCached(id: string): void {
    this.caches.forget(id);
  }

  /**
   * Ends what the engine has running of its own, after the last request. Outcomes that are not stored yet and claims
   * that were given up get one more `storageTimeout`.
   */
  async stop(): Promise<void> {
    this.keeper.stop();
    await within(this.timers, this.options.storageTimeoutMs, this.local.closed());
    this.timers.close();
  }

  private async decide(request: BeginRequest): Promise<BeginOutcome> {
    if (this.timers.closed) return failure(new StorageUnavailableError('The application is shutting down.'));
    const until = this.now() + (request.inFlight === 'wait' ? request.waitTimeoutMs : 0);
    for (;;) {
      const run = this.local.confirmed(request.id);
      const outcome = run
        ? await this.follow(run, request, until)
        : ((await this.answers.fromCache(request)) ??
          (await this.settle(await this.local.ask(request), request, until)));
      if (outcome !== 'again') return outcome;
    }
  }

  /** Answers from a run of this process. */
  private async follow(run: Run, request: BeginRequest, until: number): Promise<BeginOutcome | 'again'> {
    if (run.fingerprint !== request.fingerprint) return { kind: 'reused' };
    // Who has run for long will probably go on for as long; but nobody should sleep through the end of it.
    const retryAfterMs = Math.min(run.elapsedMs, run.leaseMs);
    const inProgress: BeginOutcome = { kind: 'in_progress', retryAfterMs };
    if (request.inFlight === 'reject') return inProgress;
    const end = await within(this.timers, until - this.now(), run.ended);
    if (end.kind !== 'answered') return inProgress;
    // The first to come back claims; the others find it running and wait on.
    if (end.value.kind === 'ask again') return 'again';
    const { result, expiresAtMonotonicMs } = end.value;
    // A copy for each who waits: hooks and interceptors may write into it.
    return replayOf(new Uint8Array(result), Math.max(0, expiresAtMonotonicMs - this.now()));
  }

  private async settle(led: Led, request: BeginRequest, until: number): Promise<BeginOutcome | 'again'> {
    if (led.kind === 'won_here') return 'again';
    if (led.kind === 'run') return this.opened(led.run);
    if (led.kind === 'failed') return failure(led.error);
    const { outcome } = led;
    if (outcome.kind === 'completed') return this.answers.fromStorage(request, led.asked, outcome);
    if (outcome.fingerprint !== request.fingerprint) return { kind: 'reused' };
    if (outcome.kind === 'abandoned') return { kind: 'abandoned' };
    const inProgress: BeginOutcome = {
      kind: 'in_progress',
      retryAfterMs: foreignRetryAfter(outcome, request),
    };
    if (request.inFlight === 'reject') return inProgress;
    const share = (found: Led): Led => (found.kind === 'run' ? { kind: 'won_here' } : found);
    const found = await this.foreign.wait(request.id, until, () => this.look(request), share);
    return found === 'timeout' ? inProgress : this.settle(found, request, until);
  }

  /** A run with the steps of earlier attempts in the clear. Without them it must not begin: they would be done again. */
  private async opened(run: Run): Promise<BeginOutcome> {
    try {
      await run.decodeSteps();
      return { kind: 'run', run };
    } catch (error) {
      await run.release({ forget: true });
      return unreadable(error);
    }
  }

  /** One look of the poll. */
  private async look(request: BeginRequest): Promise<Led | 'running'> {
    if (this.local.confirmed(request.id)) return { kind: 'won_here' };
    const led = await this.local.ask(request);
    const running =
      led.kind === 'refused' &&
      led.outcome.kind === 'in_progress' &&
      led.outcome.fingerprint === request.fingerprint;
    return running ? 'running' : led;
  }

  private emit(
    type: IdempotencyEventType,
    id: string,
    operation: string,
    error?: unknown,
    { attempt, correlationId }: Pick<IdempotencyEvent, 'attempt' | 'correlationId'> = {},
  ): void {
    const event = {
      type,
      id,
      operation,
      ...(attempt === undefined ? {} : { attempt }),
      ...(correlationId === undefined ? {} : { correlationId }),
      ...(error === undefined ? {} : { error }),
    };
    try {
      this.options.onEvent(event);
    } catch {
      // An observer that fails must not leave a run behind that nobody ends.
    }
  }

  private now(): number {
    return this.options.clock.monotonicMs();
  }
}

const EVENT_OF: Readonly<Partial<Record<BeginOutcome['kind'], IdempotencyEventType>>> = {
  replay: 'replayed',
  in_progress: 'in-progress',
  reused: 'key-reused',
  abandoned: 'abandoned',
  unreadable: 'record-unreadable',
};

function eventOf(outcome: BeginOutcome): IdempotencyEventType | undefined {
  const forNow = outcome.kind === 'unreadable' && outcome.error instanceof StorageUnavailableError;
  return forNow ? 'codec-failed' : EVENT_OF[outcome.kind];
}

function failure(error: unknown): BeginOutcome {
  if (error instanceof RecordUnreadableError) return { kind: 'unreadable', error };
  return { kind: 'unavailable', error };
}

/**
 * A live owner renews after a third of its lease. Less than half of it left means that nobody renews: the owner is gone,
 * and asking again makes sense when the lease is over. Otherwise the handler may be done at any moment.
 */
function foreignRetryAfter(outcome: { leaseRemainingMs: number }, request: BeginRequest): number {
  return outcome.leaseRemainingMs < request.leaseMs / 2 ? outcome.leaseRemainingMs : 0;
}
