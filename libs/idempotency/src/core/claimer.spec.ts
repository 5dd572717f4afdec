import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '../testing/fake-clock.js';
import { faultyStorage, type FaultyStorage } from '../testing/faulty-storage.js';
import { seededRandomness } from '../testing/seeded-randomness.js';
import { Claimer, type ClaimQuestion } from './claimer.js';
import { MemoryStorage } from './memory-storage.js';
import { TimerScope } from './timer-scope.js';

const QUESTION: ClaimQuestion = {
  id: 'a',
  fingerprint: 'fp',
  leaseMs: 30_000,
  keepMs: 60_000,
  takeOver: true,
  storageTimeoutMs: 1000,
};

describe('Claimer', () => {
  let clock: FakeClock;
  let memory: MemoryStorage;
  let storage: FaultyStorage;
  let claimer: Claimer;
  let failures: string[];

  beforeEach(() => {
    clock = new FakeClock();
    memory = new MemoryStorage({ clock });
    storage = faultyStorage(memory);
    failures = [];
    claimer = new Claimer(storage, clock, new TimerScope(clock.timers), seededRandomness(1), (id, error) =>
      failures.push(`${id}: ${String(error)}`),
    );
  });

  it('asks once when it is answered, with an owner token of its own', async () => {
    const first = await claimer.ask(QUESTION);
    const other = await claimer.ask({ ...QUESTION, id: 'b' });
    expect(first).toMatchObject({ kind: 'claimed', outcome: { attempt: 1 }, sentAt: clock.monotonicMs() });
    if (first.kind !== 'claimed' || other.kind !== 'claimed') throw new Error('not claimed');
    expect(first.claim.ownerToken).not.toBe(other.claim.ownerToken);
    expect(storage.calls('claim')).toHaveLength(2);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([
    ['nothing', undefined],
    ['a text', 'claimed'],
    ['an unknown kind', { kind: 'granted' }],
    ['a claim without steps', { kind: 'claimed', attempt: 1 }],
    ['a completed record without a result', { kind: 'completed', fingerprint: 'fp', expiresInMs: 1 }],
    ['a running one without a fingerprint', { kind: 'in_progress', leaseRemainingMs: 1 }],
  ])('takes %s for a record that cannot be read, and asks no more', async (_what, outcome) => {
    let asked = 0;
    const broken = Object.assign(Object.create(memory) as MemoryStorage, {
      claim: async () => ((asked += 1), outcome as never),
    });
    claimer = new Claimer(broken, clock, new TimerScope(clock.timers), seededRandomness(1), () => {});
    const answer = await claimer.ask(QUESTION);
    expect(answer).toMatchObject({ kind: 'failed', error: { code: 'record-unreadable' } });
    expect(asked).toBe(1);
  });

  it('counts the lease from the question that was answered', async () => {
    storage.holdCall('claim');
    const start = clock.monotonicMs();
    const asked = claimer.ask(QUESTION);
    await clock.advance(500);
    expect(await asked).toMatchObject({ kind: 'claimed', sentAt: start + 500 });
  });

  it('takes the first answer, whichever of the two questions it is for', async () => {
    const gates = [storage.holdCall('claim'), storage.holdCall('claim')];
    const start = clock.monotonicMs();
    const asked = claimer.ask(QUESTION);
    await clock.advance(600);
    gates[0]?.open();
    expect(await asked).toMatchObject({ kind: 'claimed', sentAt: start });
    gates[1]?.open();
    await clock.settle();
    expect(await memory.get('a')).toMatchObject({ attempt: 1 });
  });

  it('waits for the second question when the first one fails meanwhile', async () => {
    const gates = [storage.holdCall('claim'), storage.holdCall('claim')];
    const asked = claimer.ask(QUESTION);
    await clock.advance(600);
    gates[0]?.fail();
    await clock.advance(200);
    gates[1]?.open();
    expect(await asked).toMatchObject({ kind: 'claimed' });
  });

  it('reports why it failed, once', async () => {
    storage.rejectNext('claim', 1, new Error('first'));
    storage.rejectNext('claim', 1, new Error('second'));
    const asked = claimer.ask(QUESTION);
    await clock.advance(1000);
    expect(await asked).toMatchObject({ kind: 'failed', error: { message: 'second' } });
    expect(failures).toEqual(['a: Error: second']);
  });

  it('names the storage that was silent', async () => {
    storage.holdCall('claim', 2);
    const asked = claimer.ask(QUESTION);
    await clock.advance(1000);
    expect(await asked).toMatchObject({ kind: 'failed' });
    expect(failures).toEqual(['a: Error: the storage `memory` did not answer within 1000 ms']);
  });

  it('takes an answer that makes no sense for a failure', async () => {
    storage.claim = () => Promise.resolve(undefined as never);
    const asked = claimer.ask(QUESTION);
    await clock.advance(1000);
    expect(await asked).toMatchObject({ kind: 'failed' });
  });

  it('is settled when every claim that was given up is released', async () => {
    const gate = storage.holdAnswer('claim', 2);
    void claimer.ask(QUESTION);
    await clock.advance(1000);
    let settled = false;
    void claimer.settled().then(() => (settled = true));
    await clock.settle();
    expect(settled).toBe(false);
    gate.open();
    await clock.settle();
    expect(settled).toBe(true);
    expect(await memory.get('a')).toBeUndefined();
  });
});
