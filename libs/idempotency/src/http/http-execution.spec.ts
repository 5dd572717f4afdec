import { describe, expect, it } from '@jest/globals';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Run } from '../core/run.js';
import { RunSteps, type StepTools } from '../core/run-steps.js';
import { Work } from '../core/work.js';
import { FakeClock } from '../testing/fake-clock.js';
import type { ExecutionTerms } from './execution-terms.js';
import { HttpExecution } from './http-execution.js';
import { LATE_STEP } from './late-outcome.js';
import type { ResponseHead } from './response-tap.js';
import { defaultRecordPolicy } from './retention.js';

const head = (status: number): ResponseHead => ({ status, headers: [], removed: [], framing: 'whole' });
const EARLY = { kind: 'send', headers: [], deafAfter: true };
const UNTOUCHED = { kind: 'send', headers: [] };

/** A run that notes how it is ended. */
function fakeRun(answers: { complete?: string; release?: string; saveStep?: string | Error } = {}) {
  const calls: string[] = [];
  const lease = new AbortController();
  const run = {
    signal: lease.signal,
    steps: new Map(),
    complete: async ({ kind }: { kind: string }) => {
      calls.push(`complete ${kind}`);
      return answers.complete ?? 'recorded';
    },
    release: async ({ forget }: { forget: boolean }) => {
      calls.push(forget ? 'release and forget' : 'release');
      return answers.release ?? 'released';
    },
    saveStep: async (name: string, bytes: Uint8Array) => {
      if (answers.saveStep instanceof Error) throw answers.saveStep;
      calls.push(`save ${name === LATE_STEP ? 'late' : name} ${Buffer.from(bytes).toString()}`);
      return answers.saveStep ?? 'applied';
    },
  };
  return { calls, lease, run: run as unknown as Run };
}

function execute(answers: Parameters<typeof fakeRun>[0] = {}, terms: Partial<ExecutionTerms> = {}) {
  const clock = new FakeClock(Date.UTC(2026, 0, 1));
  const { run, calls, lease } = fakeRun(answers);
  const failures: unknown[] = [];
  const execution = new HttpExecution({
    work: new Work(run, new RunSteps(run, NO_TOOLS)),
    ttlMs: 60_000,
    record: defaultRecordPolicy,
    keepsHeader: () => true,
    maxResponseBytes: 1_000,
    clock,
    timers: clock.timers,
    insideHandler: () => false,
    answersItself: false,
    describeError: (error) => (error === REFUSAL ? { status: 409, response: 'no' } : undefined),
    finalError: () => new Uint8Array(),
    refusal: (code) => ({ status: 503, headers: [], body: Buffer.from(code) }),
    onFailure: (error) => failures.push(error),
    ...terms,
  });
  const end = (status = 201) => execution.ended(head(status), Buffer.from('body'));
  return { execution, calls, clock, failures, lease, end };
}

/** These handlers have no steps. */
const NO_TOOLS = {} as StepTools;

const REFUSAL = new Error('an HttpException with 409');

describe('a handler that returns', () => {
  function returned(...args: Parameters<typeof execute>) {
    const world = execute(...args);
    world.execution.begin();
    world.execution.returned({ value: { id: 1 } });
    world.execution.chainEnded('value');
    return world;
  }

  it('has its answer recorded, and the answer says until when', async () => {
    const { end, calls } = returned();
    expect(await end()).toEqual({
      kind: 'send',
      headers: [['Idempotency-Expires', 'Thu, 01 Jan 2026 00:01:00 GMT']],
    });
    expect(calls).toEqual(['complete response']);
  });

  it('has a 5xx recorded that somebody made of its value', async () => {
    const { end, calls } = returned();
    await end(500);
    expect(calls).toEqual(['complete response']);
  });

  it.each(['superseded', 'unrecorded'])('gets its own answer, which says that it is %s', async (complete) => {
    const { end } = returned({ complete });
    expect(await end()).toEqual({ kind: 'send', headers: [['Idempotency-Status', complete]] });
  });

  it('is recorded without a body when that is too large', async () => {
    const { execution, calls } = returned();
    await execution.tooLarge(head(201), false);
    expect(calls).toEqual(['complete bodyless']);
  });

  it('is judged by `record`, and by the default when that fails', async () => {
    const released = returned({}, { record: () => 'release' });
    await released.end();
    expect(released.calls).toEqual(['release']);
    const failing = returned({}, { record: () => { throw new Error('a bug'); } }); // prettier-ignore
    await failing.end();
    expect([failing.calls, failing.failures]).toEqual([['complete response'], [new Error('a bug')]]);
  });

  it('is judged once', async () => {
    const { end, calls } = returned();
    await end();
    expect(await end()).toEqual(UNTOUCHED);
    expect(calls).toHaveLength(1);
  });
});

describe('a handler that throws', () => {
  function threw(error: unknown, ...args: Parameters<typeof execute>) {
    const world = execute(...args);
    world.execution.begin();
    world.execution.threw(error);
    world.execution.chainEnded('error');
    return world;
  }

  it('has a refusal recorded', async () => {
    const { end, calls } = threw(REFUSAL);
    await end(409);
    expect(calls).toEqual(['complete response']);
  });

  it.each([500, 429, 408])('is released when %s went out', async (status) => {
    const { end, calls } = threw(new Error('a bug'));
    expect(await end(status)).toEqual(UNTOUCHED);
    expect(calls).toEqual(['release']);
  });

  it('is told when the record is somebody else’s by now', async () => {
    const { end } = threw(new Error('a bug'), { release: 'superseded' });
    expect(await end(500)).toEqual({ kind: 'send', headers: [['Idempotency-Status', 'superseded']] });
  });

  it('leaves no trace when it failed before it could begin', async () => {
    const { execution, end, calls } = execute();
    execution.begin();
    execution.threw(REFUSAL, false);
    await end(409);
    expect(calls).toEqual(['release and forget']);
  });

  it('is recorded all the same when it could begin once somebody inside had asked again', async () => {
    const { execution, calls, end } = execute();
    execution.begin();
    execution.threw(new Error('the pool is exhausted'), false);
    execution.begin();
    execution.returned({ value: 1 });
    execution.chainEnded('value');
    await end();
    expect(calls).toEqual(['complete response']);
  });
});

describe('a handler that has not begun', () => {
  it('leaves no trace of a refusal', async () => {
    const { execution, end, calls } = execute();
    execution.chainEnded('error');
    await end(400);
    expect(calls).toEqual(['release and forget']);
  });

  it('does not begin any more once that has gone out', async () => {
    const { execution, end } = execute();
    execution.chainEnded('error');
    await end(400);
    expect(execution.begin()).toBe(false);
  });

  it('has the answer recorded that an interceptor gave in its place', async () => {
    const { execution, end, calls } = execute();
    execution.chainEnded('value');
    await end(200);
    expect(calls).toEqual(['complete response']);
  });
});

describe('a handler that is answered for while it runs', () => {
  function running(...args: Parameters<typeof execute>) {
    const world = execute(...args);
    world.execution.begin();
    return world;
  }

  it('keeps its lease, and its value waits for a retry', async () => {
    const { execution, end, calls } = running();
    execution.chainTornDown();
    expect(await end(408)).toEqual(EARLY);
    expect(calls).toEqual([]);
    execution.returned({ value: { id: 1 } });
    await nextTurn();
    expect(calls).toEqual(['save late {"phase":"returned","value":{"id":1}}', 'release']);
  });

  it('has the emissions of its Observable wait for a retry', async () => {
    const { execution, end, calls } = running();
    await end(408);
    execution.returned({ value: 2, emissions: [1, 2] });
    await nextTurn();
    expect(calls[0]).toBe('save late {"phase":"returned","emissions":[1,2]}');
  });

  it('has its refusal wait for a retry', async () => {
    const { execution, end, calls } = running();
    await end(408);
    execution.threw(REFUSAL);
    await nextTurn();
    expect(calls).toEqual(['save late {"phase":"threw","status":409,"response":"no"}', 'release']);
  });

  it('is released when it throws anything else', async () => {
    const { execution, end, calls } = running();
    await end(408);
    execution.threw(new Error('a bug'));
    await nextTurn();
    expect(calls).toEqual(['release']);
  });

  it.each([
    ['its value does not survive JSON', { value: new Date() }, {}],
    ['the lease is lost', { value: 1 }, { saveStep: 'lease_lost' }],
  ])('is recorded without a body when %s', async (_why, value, answers) => {
    const { execution, end, calls } = running(answers);
    await end(408);
    execution.returned(value);
    await nextTurn();
    expect(calls.at(-1)).toBe('complete bodyless');
  });

  it('has its value tried to be kept for 12.7 seconds, and is recorded without a body then', async () => {
    const { execution, end, calls, clock, failures } = running({ saveStep: new Error('down') });
    await end(408);
    execution.returned({ value: 1 });
    await clock.advance(12_699);
    expect(calls).toEqual([]);
    await clock.advance(1);
    expect(calls).toEqual(['complete bodyless']);
    expect(failures).toEqual(Array<unknown>(8).fill(new Error('down')));
    expect(clock.pendingTimers).toBe(0);
  });

  it('has its value tried to be kept for no longer than its lease holds', async () => {
    const { execution, end, calls, clock, failures, lease } = running({ saveStep: new Error('down') });
    await end(408);
    execution.returned({ value: 1 });
    await nextTurn();
    lease.abort();
    await clock.advance(100);
    expect(calls).toEqual(['complete bodyless']);
    expect(failures).toHaveLength(2);
  });

  it('is recorded without a body when it answers by itself: its value is no answer', async () => {
    const { execution, end, calls } = running({}, { answersItself: true });
    execution.chainEnded('error');
    expect(await end(408)).toEqual(EARLY);
    execution.returned({ value: undefined });
    await nextTurn();
    expect(calls).toEqual(['complete bodyless']);
  });

  it('has its value wait for a retry also when it had returned, and nobody wanted that any more', async () => {
    const { execution, end, calls } = running();
    execution.returned({ value: 1 });
    execution.chainTornDown();
    await end(408);
    expect(calls).toEqual(['save late {"phase":"returned","value":1}', 'release']);
  });

  it('is not answered for when somebody asks again after a timeout', async () => {
    const { execution, end, calls } = running();
    execution.chainTornDown();
    execution.chainStarted();
    execution.returned({ value: 1 });
    execution.chainEnded('value');
    await end();
    expect(calls).toEqual(['complete response']);
  });
});

describe('a handler that answers by itself', () => {
  it.each([{ answersItself: true }, { insideHandler: () => true }])(
    'has its answer held until it has settled (%j)',
    async (terms) => {
      const { execution, end, calls } = execute({}, terms);
      execution.begin();
      const verdict = end();
      await nextTurn();
      expect(calls).toEqual([]);
      execution.returned({});
      expect(await verdict).toMatchObject({ headers: [['Idempotency-Expires', expect.any(String)]] });
      expect(calls).toEqual(['complete response']);
    },
  );

  it('has its answer recorded at once when it waits for that to be out', async () => {
    const { execution, end, calls } = execute({}, { answersItself: true });
    execution.begin();
    execution.awaited();
    await end();
    expect(calls).toEqual(['complete response']);
  });

  it('has given its outcome with its answer, whatever it throws afterwards', async () => {
    const { execution, end, calls } = execute({}, { answersItself: true });
    execution.begin();
    const verdict = end(201);
    execution.threw(new Error('a bug'));
    await verdict;
    expect(calls).toEqual(['complete response']);
  });
});

describe('a client that is gone', () => {
  it('does not keep the answer from being recorded', async () => {
    const { execution, end, calls, clock } = execute();
    execution.begin();
    execution.responseClosed();
    execution.returned({ value: 1 });
    execution.chainEnded('value');
    await end();
    await clock.advance(10_000);
    expect(calls).toEqual(['complete response']);
  });

  it('leaves the value to a retry when no answer comes within a second', async () => {
    const { execution, calls, clock } = execute();
    execution.begin();
    execution.responseClosed();
    execution.returned({ value: 1 });
    execution.chainEnded('value');
    await clock.advance(999);
    expect(calls).toEqual([]);
    await clock.advance(1);
    await nextTurn();
    expect(calls).toEqual(['save late {"phase":"returned","value":1}', 'release']);
  });

  it('leaves an answer the time that it needs, as long as pieces of it come', async () => {
    const { execution, end, calls, clock } = execute();
    execution.begin();
    execution.responseClosed();
    execution.returned({ value: new Date() });
    // As an Observable ends: its value, its completion, and the teardown.
    execution.chainEnded('value');
    execution.chainEnded('value');
    execution.chainTornDown();
    for (let piece = 0; piece < 5; piece += 1) {
      await clock.advance(900);
      execution.progressed();
    }
    await end();
    expect(calls).toEqual(['complete response']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('is waited for no longer than a second or two after the last piece', async () => {
    const { execution, calls, clock } = execute();
    execution.begin();
    execution.responseClosed();
    execution.returned({ value: new Date() });
    execution.chainEnded('value');
    await clock.advance(500);
    execution.progressed();
    await clock.advance(1_499);
    expect(calls).toEqual([]);
    await clock.advance(1);
    await nextTurn();
    expect(calls).toEqual(['complete bodyless']);
  });

  it('gives the key back when nothing had begun', async () => {
    const { execution, calls } = execute();
    execution.chainTornDown();
    execution.responseClosed();
    await nextTurn();
    expect(calls).toEqual(['release and forget']);
  });

  it('costs no second when the body has broken off', async () => {
    const { execution, calls } = execute();
    execution.begin();
    execution.returned({ value: new Date() });
    execution.chainEnded('value');
    execution.abandoned();
    await nextTurn();
    expect(calls).toEqual(['complete bodyless']);
  });
});

describe('what belongs to the user', () => {
  it('may fail when nobody waits any more: an error that cannot be described is given up, and the failure is told', async () => {
    const broken = new Error('a getter of the error failed');
    const { execution, calls, failures } = execute(
      {},
      {
        describeError: () => {
          throw broken;
        },
      },
    );
    execution.begin();
    execution.chainTornDown();
    execution.responseClosed();
    execution.threw(new Error('a bug'));
    await new Promise(setImmediate);
    expect([calls, failures]).toEqual([['release'], [broken]]);
  });

  it('is held for a second at most while a handler works on after its own answer, and is its outcome then', async () => {
    const { execution, end, calls, clock } = execute({}, { answersItself: true });
    execution.begin();
    let out = false;
    const verdict = end(201).then(() => (out = true));
    await clock.advance(999);
    expect([out, calls]).toEqual([false, []]);
    await clock.advance(1);
    await verdict;
    expect(calls).toEqual(['complete response']);
    expect(clock.pendingTimers).toBe(0);
  });
});
