import { beforeEach, describe, expect, it } from '@jest/globals';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { WriteQueue, type Transactions } from './write-queue.js';

class Busy extends Error {}

/** Writes down what happens; each part can be told to fail. */
class Scripted implements Transactions {
  readonly log: string[] = [];
  beginFails: Error | undefined;
  commitFails: Error | undefined;
  private open = false;

  begin(): void {
    if (this.beginFails !== undefined) throw this.beginFails;
    this.open = true;
    this.log.push('begin');
  }

  commit(): void {
    if (this.commitFails !== undefined) throw this.commitFails;
    this.open = false;
    this.log.push('commit');
  }

  rollback(): void {
    this.open = false;
    this.log.push('rollback');
  }

  /** What SQLite does by itself when the disk is full. */
  vanish(): void {
    this.open = false;
    this.log.push('vanished');
  }

  isOpen(): boolean {
    return this.open;
  }

  isBusy(error: unknown): boolean {
    return error instanceof Busy;
  }
}

describe('WriteQueue', () => {
  let transactions: Scripted;
  let queue: WriteQueue;
  const write = (name: string, work: () => void = () => undefined): Promise<string> =>
    queue.add(() => {
      transactions.log.push(name);
      work();
      return name;
    });
  const fail = (message: string) => () => {
    throw new Error(message);
  };

  beforeEach(() => {
    transactions = new Scripted();
    queue = new WriteQueue(transactions);
  });

  it('shares one transaction among the calls of one turn, in their order, and answers after the commit', async () => {
    const answered: string[] = [];
    await Promise.all(
      ['a', 'b', 'c'].map(async (name) => {
        answered.push(await write(name));
        expect(transactions.log.at(-1)).toBe('commit');
      }),
    );
    expect(answered).toEqual(['a', 'b', 'c']);
    expect(transactions.log).toEqual(['begin', 'a', 'b', 'c', 'commit']);
  });

  it('gives a call that comes at the very end of a round its own', async () => {
    await write('a').then(() => write('b'));
    expect(transactions.log).toEqual(['begin', 'a', 'commit', 'begin', 'b', 'commit']);
    await queue.idle();
  });

  it('fails a call that throws, and it alone, while the transaction stands', async () => {
    const bad = write('bad', fail('refused'));
    const good = write('good');
    await expect(bad).rejects.toThrow('refused');
    expect(await good).toBe('good');
    expect(transactions.log).toEqual(['begin', 'bad', 'good', 'commit']);
  });

  it('tries each call by itself when one has taken the whole transaction with it', async () => {
    const full = () => {
      transactions.vanish();
      throw new Error('full');
    };
    const calls = [write('a'), write('large', full), write('b')];
    expect(await Promise.allSettled(calls)).toMatchObject([
      { status: 'fulfilled', value: 'a' },
      { status: 'rejected', reason: { message: 'full' } },
      { status: 'fulfilled', value: 'b' },
    ]);
    expect(transactions.log.filter((entry) => entry === 'commit')).toHaveLength(2);
  });

  it('tells every call when a commit fails, and gives the lock back at once', async () => {
    transactions.commitFails = new Error('disk I/O error');
    const calls = await Promise.allSettled([write('a'), write('b')]);
    expect(calls.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(transactions.log.at(-1)).toBe('rollback');
    transactions.commitFails = undefined;
    expect(await write('c')).toBe('c');
  });

  it('waits for the lock of another process while the event loop goes on', async () => {
    transactions.beginFails = new Busy('locked');
    const call = write('a');
    for (let turn = 0; turn < 50; turn += 1) await nextTurn();
    expect(transactions.log).toEqual([]);
    transactions.beginFails = undefined;
    expect(await call).toBe('a');
  });

  it('leaves the lock alone between two transactions when it has lately met another process', async () => {
    transactions.beginFails = new Busy('locked');
    const first = write('a');
    for (let turn = 0; turn < 5; turn += 1) await nextTurn();
    transactions.beginFails = undefined;
    await first;
    for (let round = 0; round < 5; round += 1) {
      const committed = performance.now();
      await write('b');
      // A timer of 1 ms may come a little early.
      expect(performance.now() - committed).toBeGreaterThan(0.5);
    }
  });

  it('tells all that wait when the file cannot be written for another reason', async () => {
    transactions.beginFails = new Error('attempt to write a readonly database');
    await expect(Promise.all([write('a'), write('b')])).rejects.toThrow('readonly');
    transactions.beginFails = undefined;
    expect(await write('c')).toBe('c');
  });

  it('ends a transaction that has worked for long, so that other things of the process get their turn', async () => {
    const busyFor = (ms: number) => () => {
      for (const end = performance.now() + ms; performance.now() < end;);
    };
    const between: number[] = [];
    const calls = Array.from({ length: 12 }, (_, index) => write(`${index}`, busyFor(4)));
    void sleep(1).then(() => between.push(transactions.log.filter((entry) => entry === 'commit').length));
    await Promise.all(calls);
    const commits = transactions.log.filter((entry) => entry === 'commit').length;
    expect(commits).toBeGreaterThanOrEqual(4);
    expect(between[0]).toBeLessThan(commits);
    expect(transactions.log.filter((entry) => /^\d/.test(entry))).toEqual(
      calls.map((_, index) => `${index}`),
    );
  });
});
