import { expect } from '@jest/globals';
import {
  expectAnswerOf,
  expectKept,
  expectNotKept,
  expectProblem,
  expectReplayOf,
  expectUntouched,
} from './compare.js';
import { takeHandlerRuns } from './handler-runs.js';
import type { Retry, Trial } from './kind.js';
import type { Received } from './http-client.js';

/** Two, or with compression four requests: the handler runs for the first. */
export const replayed: Retry = {
  does: 'is replayed as it went out',
  word: 'the same answer',
  async run(trial) {
    const first = await firstAnswer(trial);
    expectKept(first);
    await expectReplays(trial, first);
    expect(takeHandlerRuns()).toBe(trial.kind.runs ?? 1);
  },
};

/** The lease ends, and the fingerprint stays. */
export const runsAgain: Retry = {
  does: 'is not kept, so a retry runs the handler again',
  word: 'runs again',
  async run(trial) {
    const first = await firstAnswer(trial);
    expectNotKept(first);
    const again = await trial.send();
    expectNotKept(again);
    expectUntouched(first, again);
    expect(takeHandlerRuns()).toBe(2 * (trial.kind.runs ?? 1));
    expectProblem(await trial.send({ body: { another: 'request' } }), 422, 'key-reused');
  },
};

/** The handler had not begun, so the key is free for the request that the client meant. */
export function leavesTheKeyFree(corrected: { body?: unknown; headers?: Record<string, string> }): Retry {
  return {
    does: 'leaves the key free for the corrected request',
    word: 'the corrected request runs',
    async run(trial) {
      const refusal = await trial.send();
      expectAnswerOf(trial, refusal);
      expectNotKept(refusal);
      expect(takeHandlerRuns()).toBe(0);
      const first = await trial.send(corrected);
      expect(first.status).toBe(201);
      expectKept(first);
      expectReplayOf(first, await trial.send(corrected));
      expect(takeHandlerRuns()).toBe(1);
    },
  };
}

/** Asks as if the route were not protected, then with the key. */
async function firstAnswer(trial: Trial): Promise<Received> {
  if (trial.kind.brokenWithoutUs?.(trial)) {
    const first = await trial.send();
    expectAnswerOf(trial, first);
    return first;
  }
  const bare = await trial.send({ key: false });
  expectAnswerOf(trial, bare);
  takeHandlerRuns();
  const first = await trial.send();
  expectUntouched(bare, first);
  return first;
}

/** By a client like the first one, and with compression by others too. */
export async function expectReplays(trial: Trial, first: Received): Promise<void> {
  const { leftOut = [], encodesItself = false } = trial.kind;
  expectReplayOf(first, await trial.send(), { leftOut });
  if (!trial.compressed) return;
  for (const accept of ['br', 'none'] as const) {
    expectReplayOf(first, await trial.send({ accept }), { negotiatedAnew: !encodesItself, leftOut });
  }
}

/** Asks until the record is no longer in progress: the answer to a request that came after its run. */
export async function afterTheRun(trial: Trial): Promise<Received> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const received = await trial.send();
    if (received.status !== 409 || !received.body.includes('key-in-progress')) return received;
    // The event loop's other work goes first.
    await new Promise((resolve) => setTimeout(resolve, Math.min(attempt, 25)));
  }
  throw new Error('The run has not come to an end.');
}

/** The answer is sent whole, and only that it was is kept. */
export function isNotReplayable(detail: string): Retry {
  return {
    does: 'is sent whole, and a retry is told what the handler made',
    word: '409 that names the resource',
    async run(trial) {
      expectKept(await firstAnswer(trial));
      const again = await trial.send();
      expectProblem(again, 409, 'result-not-replayable');
      expect(again.body.toString()).toContain(detail);
      expect(takeHandlerRuns()).toBe(1);
    },
  };
}

/** The answer is not kept, and made anew from the resource that the handler named. */
export const isRebuilt: Retry = {
  does: 'is sent whole, and rebuilt for a retry',
  word: 'rebuilt by `replayWith`',
  async run(trial) {
    const first = await firstAnswer(trial);
    expectKept(first);
    await expectReplays(trial, first);
    expect(takeHandlerRuns()).toBe(1);
  },
};
