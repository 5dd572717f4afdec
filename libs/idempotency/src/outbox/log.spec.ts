import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '../testing/fake-clock.js';
import { OUTBOX_EVENT_TYPES, type OutboxEvent } from './events.js';
import { RelayLog } from './log.js';

const message = { id: 'm1', pattern: 'orders.placed', aggregate: 'order:1', correlationId: 'c1', attempt: 3 };
let lines: string[];
let clock: FakeClock;
let log: RelayLog;

beforeEach(() => {
  lines = [];
  clock = new FakeClock();
  const write = (level: string) => (text: string) => void lines.push(`${level}: ${text}`);
  log = new RelayLog({ log: write('log'), warn: write('warn'), error: write('error') }, clock);
});

const say = (event: OutboxEvent) => log.say(event);

describe('the log of a relay', () => {
  it('names a dead letter loudly, what it holds back and what to do', () => {
    say({ type: 'dead', message, error: new Error('no route') });
    say({ type: 'dead', message: { ...message, aggregate: undefined, attempt: 1 }, error: 'no' });
    expect(lines).toEqual([
      "error: Publishing [orders.placed, message m1, aggregate order:1, try 3, correlation c1] is given up after 3 tries. Every later message of `order:1` is held back until you decide: outbox.redeliver('m1') sends it, outbox.discard('m1') leaves it out. Cause: no route",
      "error: Publishing [orders.placed, message m1, try 1, correlation c1] is given up after 1 try. It is in no aggregate, so nothing waits behind it: outbox.redeliver('m1') sends it, outbox.discard('m1') leaves it out. Cause: no",
    ]);
  });

  it('says one failure a minute, and how many others there were', async () => {
    const failed: OutboxEvent = { type: 'failed', message, error: new Error('no broker'), retryInMs: 900 };
    for (let times = 0; times < 50; times += 1) say(failed);
    expect(lines).toEqual([expect.stringMatching(/^warn: .*tried again in 900 ms.*Cause: no broker\.$/)]);
    await clock.advance(60_000);
    say(failed);
    expect(lines[1]).toContain('49 more such failures');
  });

  it('has a line for everything but what went well', () => {
    for (const type of OUTBOX_EVENT_TYPES) say({ type, message, count: 2, error: new Error('x') });
    expect(lines.map((line) => line.split(':')[0])).toEqual(['warn', 'error', 'warn', 'warn', 'warn', 'log']);
  });
});
