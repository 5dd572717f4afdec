import type { Codec } from '../../libs/idempotency/src/core/codec.js';
import {
  IdempotencyEngine,
  type BeginOutcome,
  type BeginRequest,
} from '../../libs/idempotency/src/core/idempotency-engine.js';
import type { LocalCacheTerms } from '../../libs/idempotency/src/core/local-caches.js';
import { MemoryStorage } from '../../libs/idempotency/src/core/memory-storage.js';
import type { Run } from '../../libs/idempotency/src/core/run.js';
import { FakeClock } from '../../libs/idempotency/src/testing/fake-clock.js';
import { seededRandomness } from '../../libs/idempotency/src/testing/seeded-randomness.js';
import { EventLoop } from './event-loop.js';
import { SimulatedNetwork, type Weather } from './simulated-network.js';

export const LEASE_MS = 5000;
export const STORAGE_TIMEOUT_MS = 1000;
export const WAIT_TIMEOUT_MS = 3000;
const MAX_RUN_MS = 30_000;
const TTL_MS = 86_400_000;

export interface SimulationPlan {
  readonly processes: number;
  readonly keys: number;
  readonly bursts: number;
  readonly durationMs: number;
  readonly weather: Weather;
  /** Crashes, event loops blocked beyond the lease, handlers beyond `maxRun`, stops and outages. */
  readonly disasters: boolean;
  readonly codec?: Codec;
  readonly localCache?: LocalCacheTerms;
}

/** A handler that ran. */
export interface Execution {
  readonly number: number;
  readonly request: BeginRequest;
  readonly process: SimulatedProcess;
  readonly run: Run;
  /** What the handler would record. */
  readonly body: string;
  /** Steps that the storage has confirmed. */
  readonly saved: string[];
  readonly beganAt: number;
  /** What the handler asked for at its end; undefined while it runs, and for ever after a crash. */
  asked?: 'complete' | 'release' | 'forget';
  /** What that came to, and when. */
  told?: string;
  toldAt?: number;
  /** Another run of this key began while this one was still running. */
  overtaken: boolean;
}

export interface Answer {
  readonly request: BeginRequest;
  readonly outcome: BeginOutcome;
  readonly tookMs: number;
  /** It can be held to its time. */
  readonly undisturbed: boolean;
}

export class SimulatedProcess {
  readonly loop: EventLoop;
  readonly engine: IdempotencyEngine;
  readonly heard: string[] = [];
  disturbed = false;

  constructor(world: Simulation, seed: number) {
    this.loop = new EventLoop(world.clock.timers);
    this.engine = new IdempotencyEngine({
      storage: world.network.storageFor(this.loop),
      clock: world.clock,
      timers: this.loop.timers,
      randomness: seededRandomness(seed),
      storageTimeoutMs: STORAGE_TIMEOUT_MS,
      onEvent: ({ type }) => this.heard.push(type),
    });
  }
}

/** Several processes over one storage, requests that come as they like, and everything that can go wrong. */
export class Simulation {
  readonly clock = new FakeClock();
  readonly memory = new MemoryStorage({ clock: this.clock });
  readonly random;
  readonly network: SimulatedNetwork;
  readonly executions: Execution[] = [];
  readonly answers: Answer[] = [];
  readonly faults: string[] = [];
  /** Every process that ever was. */
  readonly processes: SimulatedProcess[] = [];
  private places: SimulatedProcess[];
  private open = 0;

  constructor(
    readonly seed: number,
    readonly plan: SimulationPlan,
  ) {
    this.random = seededRandomness(seed);
    this.network = new SimulatedNetwork(this.memory, this.clock, this.random, plan.weather);
    this.places = Array.from({ length: plan.processes }, () => this.newProcess());
  }

  async run(): Promise<void> {
    const { plan, clock } = this;
    for (let count = 0; count < plan.bursts; count += 1) {
      this.after(plan.durationMs * this.random.fraction(), () => this.sendBurst());
    }
    if (plan.disasters) {
      for (let count = 0; count < plan.processes * 3; count += 1) {
        this.after(plan.durationMs * this.random.fraction(), () => this.strike());
      }
    }
    for (let passed = 0; passed < plan.durationMs; passed += 1000) await clock.advance(1000);
    await this.calmDown();
  }

  /** Asks once more for every key, from a process that has not seen anything. */
  async askAgain(): Promise<ReadonlyMap<string, BeginOutcome>> {
    const process = this.newProcess();
    const outcomes = new Map<string, BeginOutcome>();
    for (const id of this.ids()) {
      const stored = await this.memory.get(id);
      const begun = process.engine.begin(this.request(id, stored?.fingerprint));
      await this.clock.advance(STORAGE_TIMEOUT_MS);
      outcomes.set(id, await begun);
    }
    return outcomes;
  }

  ids(): string[] {
    return Array.from({ length: this.plan.keys }, (_, index) => `shop|POST /orders|${index}`);
  }

  /** Timers that live processes still have, and those of the stopped ones. */
  async stopAll(): Promise<number> {
    const alive = this.processes.filter(({ loop }) => loop.alive);
    const stopped = Promise.all(alive.map(({ engine }) => engine.stop()));
    await this.clock.advance(2 * STORAGE_TIMEOUT_MS);
    await stopped;
    await this.clock.settle();
    return alive.reduce((sum, { loop }) => sum + loop.pendingTimers, 0);
  }

  private request(id: string, fingerprint = 'the request'): BeginRequest {
    return {
      id,
      operation: 'POST /orders',
      fingerprint,
      ttlMs: TTL_MS,
      leaseMs: LEASE_MS,
      maxRunMs: MAX_RUN_MS,
      inFlight: 'reject',
      waitTimeoutMs: WAIT_TIMEOUT_MS,
      storageTimeoutMs: STORAGE_TIMEOUT_MS,
      takeOver: true,
      codec: this.plan.codec,
      localCache: this.plan.localCache,
    };
  }

  /** A request, and often its impatient duplicates. */
  private sendBurst(): void {
    const id = this.pick(this.ids());
    for (let count = this.chance(0.5) ? 1 : 4; count > 0; count -= 1) {
      this.after(this.chance(0.5) ? 0 : 500 * this.random.fraction(), () => this.sendRequest(id));
    }
  }

  private sendRequest(id: string): void {
    const usual = this.request(id);
    void this.handle(this.pick(this.places), {
      ...usual,
      inFlight: this.chance(0.5) ? 'wait' : 'reject',
      fingerprint: this.chance(0.05) ? 'another request' : usual.fingerprint,
      takeOver: this.chance(0.9),
    });
  }

  private async handle(process: SimulatedProcess, request: BeginRequest): Promise<void> {
    const sentAt = this.clock.monotonicMs();
    this.open += 1;
    let gone = false;
    const leave = () => {
      if (!gone) this.open -= 1;
      gone = true;
    };
    const disturbedBefore = process.disturbed;
    const watch = () => {
      if (!process.loop.alive) leave();
      else if (!gone) this.after(LEASE_MS, watch);
    };
    watch();
    const outcome = await process.engine.begin(request);
    this.answers.push({
      request,
      outcome,
      tookMs: this.clock.monotonicMs() - sentAt,
      undisturbed: !disturbedBefore && !process.disturbed,
    });
    if (outcome.kind === 'run') await this.execute(process, request, outcome.run);
    leave();
  }

  private async execute(process: SimulatedProcess, request: BeginRequest, run: Run): Promise<void> {
    this.checkAlone(request.id);
    const number = this.executions.length;
    const execution: Execution = {
      number,
      request,
      process,
      run,
      body: `execution ${number} of ${request.id}`,
      saved: [],
      beganAt: this.clock.monotonicMs(),
      overtaken: false,
    };
    this.executions.push(execution);
    const sleep = (ms: number) => new Promise<void>((resolve) => process.loop.timers.set(ms, resolve));
    await sleep(this.handlerMs() / 2);
    if (this.chance(0.3)) {
      const saved = await run.saveStep(`step ${number}`, Buffer.from(execution.body)).catch(() => 'failed');
      if (saved === 'applied') execution.saved.push(`step ${number}`);
    }
    await sleep(this.handlerMs() / 2);
    if (this.chance(0.4)) {
      execution.asked = 'complete';
      const result = { kind: 'value', meta: { number }, body: Buffer.from(execution.body) } as const;
      execution.told = await run.complete(result, TTL_MS);
    } else {
      execution.asked = this.chance(0.3) ? 'forget' : 'release';
      execution.told = await run.release({ forget: execution.asked === 'forget' });
    }
    execution.toldAt = this.clock.monotonicMs();
  }

  private handlerMs(): number {
    if (this.plan.disasters && this.chance(0.02)) return 1.5 * MAX_RUN_MS;
    return this.chance(0.8) ? 500 * this.random.fraction() : 3 * LEASE_MS * this.random.fraction();
  }

  /** A run may begin beside another one only when that one's lease is over, wherever its process thinks it is. */
  private checkAlone(id: string): void {
    const now = this.clock.monotonicMs();
    for (const other of this.executions) {
      if (other.request.id !== id || other.asked !== undefined || other.overtaken) continue;
      other.overtaken = true;
      const leaseUntil = this.network.leaseUntil.get(other.run.claim.ownerToken) ?? 0;
      if (leaseUntil > now)
        this.faults.push(`${other.body} was overtaken ${leaseUntil - now} ms before its lease was over`);
    }
  }

  private strike(): void {
    const place = Math.floor(this.random.fraction() * this.places.length);
    const process = this.places[place];
    if (process === undefined) return;
    const kind = this.random.fraction();
    if (kind < 0.35) {
      process.disturbed = true;
      process.loop.die();
      this.places[place] = this.newProcess();
    } else if (kind < 0.65) {
      process.disturbed = true;
      process.loop.block();
      this.after(3 * LEASE_MS * this.random.fraction(), () => process.loop.unblock());
    } else if (kind < 0.8) {
      this.network.outage = true;
      this.after(2 * LEASE_MS * this.random.fraction(), () => (this.network.outage = false));
    } else {
      process.disturbed = true;
      this.places[place] = this.newProcess();
      void process.engine.stop();
    }
  }

  /** No more trouble, and everything that was begun comes to its end. */
  private async calmDown(): Promise<void> {
    this.network.outage = false;
    this.network.weather = { ...this.plan.weather, lost: 0, answerLost: 0, slow: 0, never: 0 };
    for (let passed = 0; passed < 200_000; passed += 1000) {
      await this.clock.advance(1000);
      const idle = this.processes.every(({ loop, engine }) => !loop.alive || engine.running === 0);
      if (this.open === 0 && this.network.quiet && idle) return;
    }
    this.faults.push(
      `${this.open} requests and ${this.network.quiet ? 'no' : 'some'} calls never came to an end`,
    );
  }

  private newProcess(): SimulatedProcess {
    const process = new SimulatedProcess(this, this.seed * 1000 + this.processes.length);
    this.processes.push(process);
    return process;
  }

  private after(ms: number, fn: () => void): void {
    this.clock.timers.set(ms, fn);
  }

  private chance(of: number): boolean {
    return this.random.fraction() < of;
  }

  private pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random.fraction() * from.length)] as T;
  }
}
