import { Deferred, TimerScope, within } from './bounded.js';
import { Claimer, type ClaimAnswer } from './claimer.js';
import type { EventListener, IdempotencyEventType } from './engine-events.js';
import { RecordUnreadableError } from './errors.js';
import { ForeignRuns } from './foreign-runs.js';
import type { ClaimOutcome, IdempotencyStorage } from './idempotency-storage.js';
import { LeaseKeeper } from './lease-keeper.js';
import type { Clock, Randomness, Timers } from './ports.js';
import { operationOf } from './record-id.js';
import { decodeResult, type StoredResult } from './result.js';
import { Run, type RunTools } from './run.js';

export interface EngineOptions {
  readonly storage: IdempotencyStorage;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly randomness: Randomness;
  /** Bounds renewals; each request brings its own bound for the rest. */
  readonly storageTimeoutMs: number;
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
  | { readonly kind: 'unreadable'; readonly error: RecordUnreadableError };

/** What asking the storage led to. `run`: the asker may run. `won_here`: somebody else in this process does. */
type Led = ClaimAnswer | { readonly kind: 'run'; readonly run: Run } | { readonly kind: 'won_here' };

/** One id that this process is claiming or running. */
interface LocalRun {
  /** What those get who came while the claim was under way. */
  readonly answer: Promise<Led>;
  run?: Run;
}

/** Claim → run → complete or release, once per record, whoever asks and however often. Knows nothing of HTTP. */
export class IdempotencyEngine {
  private readonly locals = new Map<string, LocalRun>();
  private readonly foreign: ForeignRuns<Led>;
  private readonly keeper: LeaseKeeper;
  private readonly claimer: Claimer;
  private readonly tools: RunTools;
  private readonly timers: TimerScope;

  constructor(private readonly options: EngineOptions) {
    const { storage, clock, randomness, storageTimeoutMs } = options;
    const timers = (this.timers = new TimerScope(options.timers));
    this.foreign = new ForeignRuns(clock, timers, randomness);
    this.keeper = new LeaseKeeper(storage, clock, timers, storageTimeoutMs, (error) =>
      this.emit('storage-failed', '', '', error),
    );
    this.claimer = new Claimer(storage, clock, timers, randomness, (id, error) =>
      this.emit('storage-failed', id, operationOf(id), error),
    );
    const emit: RunTools['emit'] = (type, run, error) =>
      this.emit(type, run.id, run.operation, error, run.attempt);
    this.tools = { storage, clock, timers, randomness, keeper: this.keeper, emit };
  }

  /** How many records this process is claiming or running now. */
  get running(): number {
    return this.locals.size;
  }

  /** Asks to run, and answers what the caller must do. Never rejects for what a storage does. */
  async begin(request: BeginRequest): Promise<BeginOutcome> {
    const outcome = await this.decide(request);
    const type = EVENT_OF[outcome.kind];
    const error = 'error' in outcome ? outcome.error : undefined;
    if (type !== undefined) this.emit(type, request.id, request.operation, error);
    return outcome;
  }

  /**
   * Ends what the engine has running of its own, after the last request. Outcomes that are not stored yet and claims
   * that were given up get one more `storageTimeout`.
   */
  async stop(): Promise<void> {
    this.keeper.stop();
    const unfinished = [...this.locals.values()].map((local) => local.run?.ended);
    await within(
      this.timers,
      this.options.storageTimeoutMs,
      Promise.all([this.claimer.settled(), ...unfinished]),
    );
    this.timers.clearAll();
  }

  private async decide(request: BeginRequest): Promise<BeginOutcome> {
    const until = this.now() + (request.inFlight === 'wait' ? request.waitTimeoutMs : 0);
    for (;;) {
      const local = this.locals.get(request.id);
      if (local?.run !== undefined && local.run.leaseConfirmed()) {
        const outcome = await this.follow(local.run, request, until);
        if (outcome !== 'again') return outcome;
        continue;
      }
      const answer =
        local !== undefined && local.run === undefined ? await local.answer : await this.lead(request);
      const outcome = await this.settle(answer, request, until);
      if (outcome !== 'again') return outcome;
    }
  }

  /** Answers from a run of this process. */
  private async follow(run: Run, request: BeginRequest, until: number): Promise<BeginOutcome | 'again'> {
    if (run.fingerprint !== request.fingerprint) return { kind: 'reused' };
    const inProgress: BeginOutcome = { kind: 'in_progress', retryAfterMs: run.elapsedMs };
    if (request.inFlight === 'reject') return inProgress;
    const end = await within(this.timers, until - this.now(), run.ended);
    if (end.kind !== 'answered') return inProgress;
    // Released or lost: ask again. The first to come back claims; the others find it running and wait on.
    if (end.value.kind !== 'recorded') return 'again';
    const { result, expiresAtMonotonicMs } = end.value;
    return { kind: 'replay', result, expiresInMs: Math.max(0, expiresAtMonotonicMs - this.now()) };
  }

  /** Asks the storage; whoever comes meanwhile shares the answer. A claim that is won becomes this process's run. */
  private async lead(request: BeginRequest): Promise<Led> {
    const { id, fingerprint, leaseMs, storageTimeoutMs, takeOver, ttlMs } = request;
    const shared = new Deferred<Led>();
    const local: LocalRun = { answer: shared.promise };
    this.locals.set(id, local);
    const answer = await this.claimer.ask({
      id,
      fingerprint,
      leaseMs,
      keepMs: ttlMs,
      takeOver,
      storageTimeoutMs,
    });
    if (answer.kind === 'outcome' && answer.outcome.kind === 'claimed') {
      const { claim, sentAt } = answer;
      const run = new Run({ ...request, ...answer.outcome, claim, sentAt }, this.tools);
      local.run = run;
      this.emit(
        run.previous === 'expired' ? 'taken-over' : 'claimed',
        id,
        request.operation,
        undefined,
        run.attempt,
      );
      void run.ended.then(() => this.forgetLocal(id, local));
      shared.resolve({ kind: 'won_here' });
      return { kind: 'run', run };
    }
    this.forgetLocal(id, local);
    shared.resolve(answer);
    return answer;
  }

  private forgetLocal(id: string, local: LocalRun): void {
    if (this.locals.get(id) === local) this.locals.delete(id);
  }

  private async settle(led: Led, request: BeginRequest, until: number): Promise<BeginOutcome | 'again'> {
    if (led.kind === 'won_here') return 'again';
    if (led.kind === 'run') return led;
    if (led.kind === 'failed') return failure(led.error);
    const { outcome } = led;
    if (outcome.kind === 'claimed') throw new Error('a claim that was won has no run');
    if (outcome.fingerprint !== request.fingerprint) return { kind: 'reused' };
    if (outcome.kind === 'completed') return replay(outcome);
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

  /** One look of the poll. */
  private async look(request: BeginRequest): Promise<Led | 'running'> {
    if (this.locals.has(request.id)) return { kind: 'won_here' };
    const led = await this.lead(request);
    const running =
      led.kind === 'outcome' &&
      led.outcome.kind === 'in_progress' &&
      led.outcome.fingerprint === request.fingerprint;
    return running ? 'running' : led;
  }

  private emit(
    type: IdempotencyEventType,
    id: string,
    operation: string,
    error?: unknown,
    attempt?: number,
  ): void {
    this.options.onEvent({
      type,
      id,
      operation,
      ...(attempt === undefined ? {} : { attempt }),
      ...(error === undefined ? {} : { error }),
    });
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

function replay(outcome: Extract<ClaimOutcome, { kind: 'completed' }>): BeginOutcome {
  try {
    return { kind: 'replay', result: decodeResult(outcome.result), expiresInMs: outcome.expiresInMs };
  } catch (error) {
    return failure(error);
  }
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
