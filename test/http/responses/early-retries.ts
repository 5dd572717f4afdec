import { expect } from '@jest/globals';
import {
  expectAnswerOf,
  expectKept,
  expectNotKept,
  expectProblem,
  expectReplayOf,
  expectSameAnswer,
} from './compare.js';
import { gate, takeHandlerRuns } from './handler-runs.js';
import type { Retry, Trial } from './kind.js';
import type { Received } from './http-client.js';
import { afterTheRun, expectReplays } from './retries.js';

/** Waits for nobody who stands at the gate. */
const IMPATIENT = { 'x-impatient': 'yes' };

/** Something answers while the handler runs: that answer is not kept, and the handler's is when it comes. */
export function answeredEarly(status: number, { whileItRuns = true } = {}): Retry {
  return {
    does: `is kept when it comes, and not the ${status} that went out early`,
    word: "the handler's answer",
    async run(trial) {
      const bare = await answerWithoutKey(trial);
      await expectEarlyAnswer(trial, status);
      if (whileItRuns) await expectInProgress(trial);
      gate.open();
      const first = await afterTheRun(trial);
      expectKept(first);
      expectSameAnswer(bare, first, trial.kind.leftOut);
      await expectReplays(trial, first);
      expect(takeHandlerRuns()).toBe(1);
    },
  };
}

/** The handler runs once, and what it came to cannot be sent again. */
export function lostItsAnswer(resource: string): Retry {
  return {
    does: 'is not kept, and a retry is told what the handler made',
    word: '409 that names the resource',
    async run(trial) {
      await answerWithoutKey(trial);
      await expectEarlyAnswer(trial, 408);
      await expectInProgress(trial);
      gate.open();
      const again = await afterTheRun(trial);
      expectProblem(again, 409, 'result-not-replayable');
      expect(again.body.toString()).toContain(resource);
      expect(takeHandlerRuns()).toBe(1);
    },
  };
}

/** The timeout was over before the storage was asked: nothing has run and nothing will. */
export const answeredTooEarly: Retry = {
  does: 'leaves the key free',
  word: 'runs',
  async run(trial) {
    takeHandlerRuns();
    gate.hold();
    const early = await trial.send({ headers: IMPATIENT });
    expect(early.status).toBe(408);
    expectNotKept(early);
    gate.open();
    const first = await afterTheRun(trial);
    expectKept(first);
    expectAnswerOf(trial, first);
    await expectReplays(trial, first);
    expect(takeHandlerRuns()).toBe(1);
  },
};

/** The interceptor that gave up asks again, and gets what the one run comes to. */
export const askedAgain: Retry = {
  does: 'is kept, and the handler runs once',
  word: 'the same answer',
  async run(trial) {
    const bare = await answerWithoutKey(trial);
    const first = await trial.send({ headers: IMPATIENT });
    expectKept(first);
    expectSameAnswer(bare, first);
    await expectReplays(trial, first);
    expect(takeHandlerRuns()).toBe(1);
  },
};

/** Nobody hears the answer, and it is kept like any other. */
export const leftByItsClient: Retry = {
  does: 'is kept all the same',
  word: 'the same answer',
  async run(trial) {
    const bare = await answerWithoutKey(trial);
    await leave(trial);
    gate.open();
    const heard = await afterTheRun(trial);
    expect(heard.header('idempotent-replayed')).toBe('true');
    expectSameAnswer(bare, heard);
    expectReplayOf(heard, await trial.send());
    expect(takeHandlerRuns()).toBe(1);
  },
};

/** Nest drops the answer, so the first retry sends it. */
export const leftByItsClientUnsent: Retry = {
  ...leftByItsClient,
  word: "the handler's answer",
  async run(trial) {
    const bare = await answerWithoutKey(trial);
    await leave(trial);
    gate.open();
    const first = await afterTheRun(trial);
    expectKept(first);
    expectSameAnswer(bare, first);
    await expectReplays(trial, first);
    expect(takeHandlerRuns()).toBe(1);
  },
};

/** The client gets no whole answer, so it will ask again; the handler has done its work. */
export function breaksOff(resource: string): Retry {
  return {
    does: 'is not kept, and a retry is told what the handler made',
    word: '409 that names the resource',
    async run(trial) {
      await expect(trial.send()).rejects.toThrow();
      const again = await afterTheRun(trial);
      expectProblem(again, 409, 'result-not-replayable');
      expect(again.body.toString()).toContain(resource);
      expect(takeHandlerRuns()).toBe(1);
    },
  };
}

async function answerWithoutKey(trial: Trial): Promise<Received> {
  gate.open();
  const bare = await trial.send({ key: false });
  expectAnswerOf(trial, bare);
  takeHandlerRuns();
  gate.hold();
  return bare;
}

async function expectEarlyAnswer(trial: Trial, status: number): Promise<void> {
  const early = await trial.send({ headers: IMPATIENT });
  expect(early.status).toBe(status);
  expectNotKept(early);
}

async function expectInProgress(trial: Trial): Promise<void> {
  const meanwhile = await trial.send();
  expectProblem(meanwhile, 409, 'key-in-progress');
  expect(Number(meanwhile.header('retry-after'))).toBeGreaterThanOrEqual(1);
}

async function leave(trial: Trial): Promise<void> {
  const gone = trial.clientGone();
  const disconnect = trial.sendAndLeave();
  await gate.reached;
  disconnect();
  await gone;
}
