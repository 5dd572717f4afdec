import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/postgres-fixture.js';
import { FaultBench, placeOrder, type Answer, type Pair, type StorageName } from './fault-bench.js';

const LEASE = '2s';
const LEASE_MS = 2000;

let bench: FaultBench;
beforeAll(async () => {
  bench = await FaultBench.start();
}, 120_000);
afterAll(() => bench.stop());

const replayOf = (answer: Answer | undefined) => [201, answer?.text, 'true'];
const seen = ({ status, text, headers }: Answer) => [status, text, headers.get('idempotent-replayed')];

describe.each<StorageName>(['redis', 'typeorm'])(
  'two processes of the orders app on one %s storage, without the unique constraint',
  (storage) => {
    let pair: Pair;
    // A lease is counted by the server, so the tests below wait for real.
    beforeAll(async () => {
      pair = await bench.pair(storage, { lease: LEASE });
    }, 120_000);
    // Whatever a failed test has left behind.
    afterEach(() => pair.free());

    it('run one of 50 concurrent orders with one key; every other answer is 409 with Retry-After', async () => {
      await pair.hold();
      let refusals = 0;
      const asked = pair.fifty('fifty');
      for (const answer of asked) void answer.then(({ status }) => (refusals += status === 409 ? 1 : 0));
      await eventually(() => expect(refusals).toBe(49), 20_000);
      await pair.free();
      const answers = await Promise.all(asked);
      const created = answers.filter(({ status }) => status === 201);
      const refused = answers.filter(({ status }) => status === 409);
      expect([created.length, refused.length]).toEqual([1, 49]);
      for (const { headers, text } of refused) {
        expect(JSON.parse(text)).toMatchObject({ code: 'key-in-progress' });
        expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
      }
      expect(await pair.handlerExecutions()).toBe(1);
      expect(seen(await placeOrder(pair.first, 'fifty'))).toEqual(replayOf(created[0]));
      expect(seen(await placeOrder(pair.second, 'fifty'))).toEqual(replayOf(created[0]));
    }, 30_000);

    it('let the successor’s answer stay when the first process stands still beyond its lease, and mark the late one', async () => {
      await pair.hold();
      const late = placeOrder(pair.first, 'stopped');
      await pair.held();
      pair.first.signal('SIGSTOP');
      await pair.free();
      const successor = await eventually(async () => {
        const answer = await placeOrder(pair.second, 'stopped');
        if (answer.status === 409) throw new Error('the lease of the first is not over');
        return answer;
      });
      pair.first.signal('SIGCONT');
      const superseded = await late;
      expect([successor.status, successor.headers.get('idempotency-status')]).toEqual([201, null]);
      expect([superseded.status, superseded.headers.get('idempotency-status')]).toEqual([201, 'superseded']);
      expect(superseded.text).not.toBe(successor.text);
      expect(seen(await placeOrder(pair.first, 'stopped'))).toEqual(replayOf(successor));
      expect(seen(await placeOrder(pair.second, 'stopped'))).toEqual(replayOf(successor));
      expect(pair.first.output()).toContain('another run had taken over');
    }, 30_000);

    it('run a handler once that takes longer than the lease, because the lease is renewed', async () => {
      await pair.hold();
      const answer = placeOrder(pair.first, 'slow');
      await pair.held();
      await sleep(LEASE_MS + 300);
      expect((await placeOrder(pair.second, 'slow')).status).toBe(409);
      await pair.free();
      expect((await answer).status).toBe(201);
      expect(await pair.handlerExecutions()).toBe(1);
    }, 30_000);

    it('take over after kill -9 in the handler when Retry-After says so', async () => {
      await pair.hold();
      const lost = placeOrder(pair.first, 'killed').then(seen, () => 'no answer');
      await pair.held();
      pair.first.signal('SIGKILL');
      expect(await lost).toBe('no answer');
      await pair.free();
      for (let asked = 0; asked < 4; asked += 1) {
        const { status, headers } = await placeOrder(pair.second, 'killed');
        if (status === 201) return;
        expect(status).toBe(409);
        await sleep(Number(headers.get('retry-after')) * 1000);
      }
      throw new Error('the key was still blocked after its lease of 2 s');
    }, 30_000);

    it(`answer all of 50 with the one recorded 201 with inFlight 'wait'`, async () => {
      const waiting = await bench.pair(storage, { inFlight: 'wait' });
      await waiting.hold();
      const asked = waiting.fifty('fifty');
      await waiting.held();
      await sleep(500); // nobody can see that they wait; who comes later gets the same answer
      await waiting.free();
      const answers = await Promise.all(asked);
      expect(answers.map(({ status }) => status)).toEqual(Array<number>(50).fill(201));
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
      expect(answers.filter(({ headers }) => headers.get('idempotent-replayed') === 'true')).toHaveLength(49);
      expect(await waiting.handlerExecutions()).toBe(1);
    }, 120_000);
  },
);
