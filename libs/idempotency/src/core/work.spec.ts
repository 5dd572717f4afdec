import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  DAY,
  EngineWorld,
  result,
  SECOND,
  USUAL,
  type SimulatedProcess,
} from '../../../../test/support/engine-world.js';
import { Gate } from '../testing/gate.js';
import { seededRandomness } from '../testing/seeded-randomness.js';
import { StorageUnavailableError } from './errors.js';
import type { Claim, OwnerOutcome } from './idempotency-storage.js';
import { RunSteps, type StepRefusals } from './run-steps.js';
import type { Run } from './run.js';
import type { StorageTransaction, TransactionManager } from './transaction.js';
import { Work } from './work.js';

let world: EngineWorld;
let one: SimulatedProcess;
let other: SimulatedProcess;
/** What has happened, in order. */
let log: string[];

beforeEach(() => {
  world = new EngineWorld();
  [one, other] = [world.process(), world.process()];
  log = [];
});
afterEach(async () => {
  expect(await world.end()).toBe(0);
});

/** A transaction in memory: what is written in it lasts when it commits. */
class Transaction implements StorageTransaction {
  readonly manager = {} as TransactionManager;
  readonly committed: string[] = [];
  private written: string[] | undefined;
  pool = Promise.resolve();
  failing: Partial<Record<'begin' | 'commit', Error>> = {};

  write(what: string): void {
    if (this.written === undefined) throw new Error('it is over');
    this.written.push(what);
  }
  enter<T>(fn: () => T): T {
    return fn();
  }
  leave<T>(fn: () => T): T {
    return fn();
  }
  async begin(): Promise<void> {
    if (this.failing.begin) throw this.failing.begin;
    await this.pool;
    log.push('begin');
    this.written = [];
  }
  async complete(claim: Claim, stored: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
    log.push('complete inside');
    return world.memory.complete(claim, stored, ttlMs);
  }
  async commit(): Promise<void> {
    if (this.failing.commit) throw this.failing.commit;
    log.push('commit');
    this.committed.push(...(this.written ?? []));
    this.written = undefined;
  }
  async rollback(): Promise<void> {
    if (this.written !== undefined) log.push('rollback');
    this.written = undefined;
  }
  async close(): Promise<void> {
    await this.rollback();
  }
  isConflict(): boolean {
    return false;
  }
}

const NO_REFUSALS = {} as StepRefusals;

/** The work of a run that notes what it does with its record. */
function workOf(run: Run, transaction?: Transaction): Work {
  for (const method of ['complete', 'release'] as const) {
    const call = run[method].bind(run) as (...args: unknown[]) => Promise<never>;
    run[method] = (...args: unknown[]) => {
      log.push(method === 'release' ? `release ${JSON.stringify(args[0])}` : method);
      return call(...args);
    };
  }
  const steps = new RunSteps(run, {
    timers: world.clock.timers,
    randomness: seededRandomness(1),
    refusals: NO_REFUSALS,
    outside: (fn) => fn(),
    onUndoFailed: () => log.push('undo failed'),
  });
  return new Work(run, steps, transaction);
}

const charge = (work: Work) =>
  work.steps.step('charge', () => void log.push('charge'), { undo: () => log.push('undo charge') });
const error = () => Buffer.from('no');
const OUTCOME = result('paid');

describe('A handler in a transaction', () => {
  it('that ends in a final error: waited for, rolled back, undone, recorded, in this order', async () => {
    const transaction = new Transaction();
    const work = workOf(await one.run(), transaction);
    await work.begin();
    await charge(work);
    transaction.write('debit');
    const refused = work.refuse(OUTCOME, DAY, error);
    expect(await world.peek(refused)).toBe('pending');
    log.push('settled');
    work.settled();

    expect(await refused).toBe('recorded');
    expect(log).toEqual(['begin', 'charge', 'settled', 'rollback', 'undo charge', 'complete']);
    expect(transaction.committed).toEqual([]);
  });

  it('that is kept: waited for, completed inside, committed', async () => {
    const transaction = new Transaction();
    const work = workOf(await one.run(), transaction);
    await work.begin();
    const kept = work.keep(OUTCOME, DAY);
    expect(await world.peek(kept)).toBe('pending');
    transaction.write('debit');
    work.settled();

    expect(await kept).toBe('recorded');
    expect(log).toEqual(['begin', 'complete inside', 'commit']);
    expect(transaction.committed).toEqual(['debit']);
  });

  it('whose commit fails is rolled back and released, and not undone: a retry resumes', async () => {
    const transaction = new Transaction();
    const run = await one.run();
    const work = workOf(run, transaction);
    await work.begin();
    await charge(work);
    transaction.failing.commit = new Error('a constraint');
    work.settled();

    expect(await work.keep(OUTCOME, DAY)).toBe('uncommitted');
    expect(log.filter((what) => what !== 'complete inside')).toEqual([
      'begin',
      'charge',
      'rollback',
      'release {"forget":false}',
    ]);
  });

  it('whose lease is taken over is rolled back while it runs, and is never kept', async () => {
    const transaction = new Transaction();
    const work = workOf(await one.run(), transaction);
    await work.begin();
    transaction.write('debit');
    one.loop.block();
    await world.advance(USUAL.leaseMs);
    await other.run();
    one.loop.unblock();
    await world.advance(SECOND);

    expect(work.isUndone).toBe(true);
    expect(() => transaction.write('credit')).toThrow('it is over');
    work.settled();
    expect(await work.keep(OUTCOME, DAY)).toBe('uncommitted');
    expect(transaction.committed).toEqual([]);
  });

  it('that somebody has answered for before it began does not begin', async () => {
    const transaction = new Transaction();
    const work = workOf(await one.run(), transaction);
    work.abandon();
    expect(await work.begin()).toBe(false);
    await work.giveUp({ forget: true });
    expect(log).toEqual(['begin', 'rollback', 'release {"forget":true}']);
  });

  it('that waited longer for a connection than its lease lasts does not begin', async () => {
    const transaction = new Transaction();
    const gate = new Gate();
    transaction.pool = gate.pass();
    const work = workOf(await one.run(), transaction);
    const begun = work.begin();
    await gate.reached();
    one.loop.block();
    await world.advance(USUAL.leaseMs);
    gate.open();
    expect(await begun).toBe(false);
    expect(log).toEqual(['begin', 'rollback']);
    one.loop.unblock();
    await world.advance(SECOND);
    await work.giveUp({ forget: true });
  });

  it('whose second try cannot begin is not forgotten, nor are its steps', async () => {
    const transaction = new Transaction();
    const run = await one.run();
    const work = workOf(run, transaction);
    await work.begin();
    await charge(work);
    work.settled();
    transaction.failing.begin = new StorageUnavailableError('the pool is exhausted');
    await expect(work.begin()).rejects.toThrow('the pool is exhausted');

    await work.giveUp({ forget: true });

    const next = await other.run();
    expect(next.attempt).toBe(2);
    expect([...next.steps.keys()]).toEqual(['charge']);
    await next.release({ forget: true });
  });
});

describe('A run that ends', () => {
  it('with steps under way has waited for them before it undoes and records', async () => {
    const gate = new Gate();
    const work = workOf(await one.run());
    await work.begin();
    const slow = work.steps.step('slow', () => gate.pass(), { undo: () => log.push('undo slow') });
    work.settled();
    const refused = work.refuse(OUTCOME, DAY, error);
    expect(await world.peek(refused)).toBe('pending');
    expect(log).toEqual([]);
    gate.open();
    await slow;

    expect(await refused).toBe('recorded');
    expect(log).toEqual(['undo slow', 'complete']);
  });

  it('in a final error whose steps are not undone is released, and nothing is recorded', async () => {
    const run = await one.run();
    const work = workOf(run);
    await work.begin();
    await work.steps.step('charge', () => 1, { undo: () => Promise.reject(new Error('away')) });
    work.settled();
    const refused = work.refuse(OUTCOME, DAY, error);
    await world.advance(10 * SECOND);

    expect(await refused).toBe('not undone');
    expect(log).toEqual(['undo failed', 'release {"forget":false}']);
    expect((await world.memory.get(run.id))?.state).toBe('in_progress');
  });

  it('has no handler that begins in a process that stood still, also before its timers have told it', async () => {
    const run = await one.run();
    const work = workOf(run);
    one.loop.block();
    await world.advance(USUAL.leaseMs);
    expect(run.signal.aborted).toBe(false);
    expect(await work.begin()).toBe(false);
    one.loop.unblock();
    await world.advance(SECOND);
    await work.giveUp({ forget: true });
  });

  it('before its handler began leaves no trace', async () => {
    const run = await one.run();
    await workOf(run).giveUp({ forget: true });
    expect(await world.memory.get(run.id)).toBeUndefined();
  });
});
