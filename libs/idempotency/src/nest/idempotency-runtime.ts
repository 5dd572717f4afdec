import { Logger } from '@nestjs/common';
import { channel } from 'node:diagnostics_channel';
import { Subject } from 'rxjs';
import {
  IDEMPOTENCY_EVENT_TYPES,
  type IdempotencyEvent,
  type IdempotencyEventType,
} from '../core/engine-events.js';
import { IdempotencyEngine } from '../core/idempotency-engine.js';
import type { IdempotencyStorage } from '../core/idempotency-storage.js';
import type { StorageTransactions } from '../core/transaction.js';
import type { FastifyResponseTap } from '../http/fastify-response-tap.js';
import { ApplicationClasses } from './by-value/known-classes.js';
import { Serializers } from './by-value/serializers.js';
import { TransportErrors } from './contexts/transport-errors.js';
import type { Verdict } from './deliveries/verdict.js';
import type { Answer } from './exchange.js';
import { GraceTimers } from './grace-timers.js';
import { HandlerPlans } from './handler-plan.js';
import { logEvent } from './log-event.js';
import type { IdempotencyModuleOptions } from './options.js';
import { Problems, type IdempotencyException } from './problems.js';
import { resolveOptions, type ResolvedOptions } from './resolve-options.js';
import { UploadWarnings } from './upload-warnings.js';
import { systemClock, systemRandomness, systemTimers } from './system-ports.js';

const channels = new Map(IDEMPOTENCY_EVENT_TYPES.map((type) => [type, channel(`nestjs-idempotent:${type}`)]));

/** Everything that one application's idempotency shares: the engine, the plans of its routes, its events. */
export class IdempotencyRuntime {
  readonly logger = new Logger('IdempotencyModule');
  readonly uploads = new UploadWarnings(this.logger);
  readonly clock = systemClock;
  /** For what a request leaves behind. */
  readonly timers = new GraceTimers(systemTimers);
  readonly engine: IdempotencyEngine;
  readonly problems: Problems;
  readonly defaults: ResolvedOptions;
  readonly events = new Subject<IdempotencyEvent>();
  readonly counters = new Map<IdempotencyEventType, number>();
  /** Filled at boot: by class, because two controllers may inherit one method. */
  readonly plans = new HandlerPlans();
  /** What a request got, for outer interceptors that subscribe again. */
  readonly answers = new WeakMap<object, Answer>();
  /** Classes that recorded values may be made of. */
  readonly classes = new ApplicationClasses();
  readonly transportErrors = new TransportErrors();
  readonly serializers = new Serializers();
  /** Taps of Fastify responses, for the hook. */
  readonly taps = new WeakMap<object, FastifyResponseTap>();
  /** Sends a value as Nest does. Set at boot. */
  reply: (response: unknown, value: unknown) => void = () => {};
  /** Set at boot, when the storage has started; undefined where it has none. */
  transactions: StorageTransactions | undefined;
  private readonly ttls = new Map<string, number>();
  private warnedOfNobody = false;

  constructor(
    readonly options: IdempotencyModuleOptions,
    readonly storage: IdempotencyStorage,
    readonly namespace: string,
  ) {
    this.defaults = resolveOptions('IdempotencyModule', options, {});
    this.problems = new Problems(options.docsUrl);
    this.engine = new IdempotencyEngine({
      storage,
      clock: systemClock,
      timers: systemTimers,
      randomness: systemRandomness,
      storageTimeoutMs: this.defaults.storageTimeoutMs,
      codec: this.defaults.codec,
      // Whether what is stored can be sent again shows when it is read: who sends it says `replayed`.
      onEvent: (event) => event.type !== 'replayed' && this.publish(event),
    });
  }

  /** How long records of an operation are kept, for those who decide about them by hand. */
  learnTtl(operation: string, ttlMs: number): void {
    this.ttls.set(operation, ttlMs);
  }

  /** Of an operation that this process has not seen since its start: the module's. */
  ttlOf(operation: string): number {
    return this.ttls.get(operation) ?? this.defaults.ttlMs;
  }

  /** After the last request: outcomes that are on their way get one more `storageTimeout`. */
  async stop(): Promise<void> {
    this.timers.flush();
    // Our timers keep no process alive, and this wait would end with it.
    const awake = setInterval(() => {}, STAY_AWAKE_MS);
    try {
      await this.engine.stop();
      await this.storage.stop?.();
    } finally {
      clearInterval(awake);
      this.events.complete();
    }
  }

  publish(event: IdempotencyEvent): void {
    this.counters.set(event.type, (this.counters.get(event.type) ?? 0) + 1);
    logEvent(this.logger, event);
    const diagnostics = channels.get(event.type);
    if (diagnostics?.hasSubscribers) diagnostics.publish(event);
    if (this.events.observed) this.events.next(event);
  }

  /** A user's function or an observer has thrown where the request must go on. */
  readonly onFailure = (error: unknown): void => {
    this.logger.error(
      'A callback of the idempotency options, or the recording of a response, failed',
      describe(error),
    );
  };

  /** The client only learns that it is our fault; here is what went wrong. Never holds what `scope` yielded. */
  logScopeMissing(operation: string, reason: string): void {
    this.logger.error(
      `${operation} did not run: \`scope\` ${reason}. It must yield a string, a number or a bigint.`,
    );
  }

  /** In a handler: its clients only learn that something is wrong on this side. */
  logMistake(operation: string, message: string): void {
    this.logger.error(`${operation}: ${message}`);
  }

  /** Every time: each of these is a key whose retries are refused. */
  warnOfUncarried(operation: string, reason: string): void {
    this.logger.warn(
      `The result of ${operation} cannot be recorded: ${reason}. Its effect is, and retries get result-not-replayable. ` +
        'Return plain data, or an instance of a class that the handler declares as its return type or that is an object type of the schema.',
    );
  }

  /**
   * Each of these is a message that does nothing, and whoever sent it does not hear of it.
   *
   * @param verdict on it, where its broker waits for one
   */
  warnOfRefusedEvent(
    pattern: string,
    { code, message }: IdempotencyException,
    verdict: Verdict | undefined,
  ): void {
    this.logger.warn(`An event ${pattern} was refused (${code}), ${FATE[verdict ?? 'unknown']}. ${message}`);
  }

  warnOfNobody(operation: string): void {
    if (this.warnedOfNobody) return;
    this.warnedOfNobody = true;
    this.logger.warn(
      `${operation} has no user (\`request.user\`, or \`user\` of a socket or a context, with \`id\`, \`sub\` or \`userId\`), so all its callers share the scope \`anonymous\`: ` +
        'whoever guesses a key gets its answer. Authenticate in a guard, or set `scope`. This is said once.',
    );
  }
}

const FATE: Readonly<Record<Verdict | 'unknown', string>> = {
  again: 'and comes again',
  refused: 'and goes to the dead letters of its queue: without such a place it is lost',
  done: 'and is done with',
  unknown: 'and nobody else is told: it is lost unless it is delivered again',
};

const STAY_AWAKE_MS = 1000;

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
