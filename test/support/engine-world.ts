import type { IdempotencyEvent } from '../../libs/idempotency/src/core/engine-events.js';
import {
  IdempotencyEngine,
  type BeginOutcome,
  type BeginRequest,
} from '../../libs/idempotency/src/core/idempotency-engine.js';
import type { IdempotencyStorage } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { MemoryStorage } from '../../libs/idempotency/src/core/memory-storage.js';
import type { StoredResult } from '../../libs/idempotency/src/core/result.js';
import type { Run } from '../../libs/idempotency/src/core/run.js';
import { FakeClock } from '../../libs/idempotency/src/testing/fake-clock.js';
import {
  faultyStorage,
  type FaultyStorage,
  type StorageMethod,
} from '../../libs/idempotency/src/testing/faulty-storage.js';
import { seededRandomness } from '../../libs/idempotency/src/testing/seeded-randomness.js';
import { EventLoop } from './event-loop.js';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** What a request asks for unless a test says otherwise. */
export const USUAL: BeginRequest = {
  id: 'shop|POST /orders|key-1',
  operation: 'POST /orders',
  fingerprint: 'order of two apples',
  ttlMs: DAY,
  leaseMs: 30 * SECOND,
  maxRunMs: 10 * MINUTE,
  inFlight: 'reject',
  waitTimeoutMs: 5 * SECOND,
  storageTimeoutMs: SECOND,
  takeOver: true,
};

/** Processes over one storage, in time that stands still. */
export class EngineWorld {
  readonly clock = new FakeClock();
  readonly memory = new MemoryStorage({ clock: this.clock });
  private readonly processes: SimulatedProcess[] = [];

  process(storage: IdempotencyStorage = this.memory): SimulatedProcess {
    const process = new SimulatedProcess(this.clock, storage, this.processes.length);
    this.processes.push(process);
    return process;
  }

  advance(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  /** Where a promise is after everything that can happen now has happened. */
  async peek<T>(promise: Promise<T>): Promise<T | 'pending'> {
    let seen: T | 'pending' = 'pending';
    void promise.then((value) => (seen = value));
    await this.clock.settle();
    return seen;
  }

  /** Ends every process and answers how many timers they left behind. */
  async end(): Promise<number> {
    const alive = this.processes.filter(({ loop }) => loop.alive);
    for (const { storage, loop } of alive) {
      storage.heal();
      loop.unblock();
    }
    const stopped = Promise.all(alive.map(({ engine }) => engine.stop()));
    await this.clock.advance(2 * SECOND);
    await stopped;
    return this.clock.pendingTimers;
  }
}

/** One process: an engine, what it heard, its way to the storage, and an event loop that can be blocked. */
export class SimulatedProcess {
  readonly engine: IdempotencyEngine;
  readonly storage: FaultyStorage;
  readonly events: IdempotencyEvent[] = [];
  readonly loop: EventLoop;

  constructor(clock: FakeClock, storage: IdempotencyStorage, seed: number) {
    this.loop = new EventLoop(clock.timers);
    this.storage = faultyStorage(storage);
    this.engine = new IdempotencyEngine({
      storage: this.loop.through(this.storage),
      clock,
      timers: this.loop.timers,
      randomness: seededRandomness(seed),
      storageTimeoutMs: SECOND,
      onEvent: (event) => this.events.push(event),
    });
  }

  begin(request: Partial<BeginRequest> = {}): Promise<BeginOutcome> {
    return this.engine.begin({ ...USUAL, ...request });
  }

  /** Asks to run, and must be allowed to. */
  async run(request: Partial<BeginRequest> = {}): Promise<Run> {
    return runOf(await this.begin(request));
  }

  calls(method?: StorageMethod): number {
    return this.storage.calls(method).length;
  }

  /** The types of the events so far, in order. */
  heard(): string[] {
    return this.events.map(({ type }) => type);
  }

  forgetEvents(): void {
    this.events.length = 0;
  }
}

export function runOf(outcome: BeginOutcome): Run {
  if (outcome.kind === 'run') return outcome.run;
  throw new Error(`It may not run: ${JSON.stringify(outcome)}`);
}

/** How many of each kind, for example `{ run: 1, in_progress: 49 }`. */
export function kindsOf(outcomes: readonly BeginOutcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind } of outcomes) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

export function result(text: string): StoredResult {
  return { kind: 'value', meta: { status: 201 }, body: Buffer.from(text) };
}

export function textOf(outcome: BeginOutcome): string {
  if (outcome.kind !== 'replay') throw new Error(`It is no replay: ${JSON.stringify(outcome)}`);
  return Buffer.from(outcome.result.body).toString();
}
