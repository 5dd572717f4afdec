import { BullModule, getQueueToken, Processor } from '@nestjs/bullmq';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type INestApplicationContext, Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { Job, Queue } from 'bullmq';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { IdempotencyModule, IdempotencyService } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { Gate } from 'nestjs-idempotent/testing';
import { startChildApp } from '../support/child-app.js';
import { eventually, useRedis } from '../support/redis-fixture.js';
import { InvoiceProcessor } from './recipes/invoice.processor.js';
import { Billing, RedisBilling, type Invoice } from './support/invoices.js';
import { BULL, NAMESPACE } from './support/stalling.js';

/** The recipe's, with less patience for workers that are dead. */
@Processor('invoices', { ...BULL, concurrency: 2 })
class ImpatientProcessor extends InvoiceProcessor {}

const fixture = useRedis();
let redis: Redis;
let app: INestApplicationContext;
let queue: Queue<Invoice, string>;
let billing: RedisBilling;

beforeAll(() => {
  redis = new Redis(fixture.server.url);
});
afterAll(() => redis.disconnect());
beforeEach(async () => {
  billing = new RedisBilling(redis);
  const { url } = fixture.server;
  const testing = await Test.createTestingModule({
    imports: [
      IdempotencyModule.forRoot({ namespace: NAMESPACE, storage: redisStorage({ url }), lease: '3s' }),
      BullModule.forRoot({ connection: { url } }),
      BullModule.registerQueue({ name: 'invoices' }),
    ],
    providers: [ImpatientProcessor, { provide: Billing, useValue: billing }],
  }).compile();
  Logger.overrideLogger(false);
  app = testing;
  queue = app.get(getQueueToken('invoices'));
});
afterEach(() => app.close());

const effects = async () => (await redis.lrange('effects', 0, -1)).sort();

const invoice = (orderId: string, total = 100): Invoice => ({ orderId, total });

/** The job as it is once it has come to that. */
function comesTo(
  { id = '' }: Job<Invoice, string>,
  state: 'completed' | 'failed' | 'delayed',
): Promise<Job<Invoice, string>> {
  return eventually(async () => {
    if ((await queue.getJobState(id)) !== state) throw new Error(`it is not ${state} yet`);
    return (await queue.getJob(id)) as Job<Invoice, string>;
  }, 15_000);
}

describe('a job of BullMQ', () => {
  it('that is in the queue twice runs once, and both have its result', async () => {
    await app.init();
    const [first, second] = await Promise.all([
      queue.add('send', invoice('o1')),
      queue.add('send', invoice('o1')),
    ]);

    for (const job of [first, second]) {
      expect((await comesTo(job, 'completed')).returnvalue).toBe('invoice of o1');
    }
    expect(await effects()).toEqual(['booked o1', 'sent invoice of o1']);
  });

  it('that fails goes on after its last finished step when `attempts` lets it run again', async () => {
    let times = 0;
    billing.beforeSending = () => {
      if ((times += 1) === 1) throw new Error('the mail server is away');
    };
    await app.init();
    const job = await queue.add('send', invoice('o1'), { attempts: 3, backoff: 50 });

    expect(await comesTo(job, 'completed')).toMatchObject({ attemptsMade: 2 });
    expect(await effects()).toEqual(['booked o1', 'sent invoice of o1']);
  });

  it('that has the key of another one fails at once, whatever `attempts` says', async () => {
    await app.init();
    await comesTo(await queue.add('send', invoice('o1')), 'completed');

    const other = await queue.add('send', invoice('o1', 999), { attempts: 3, backoff: 50 });

    expect(await comesTo(other, 'failed')).toMatchObject({
      attemptsMade: 1,
      failedReason: expect.stringMatching(/^key-reused: /),
    });
    expect(await effects()).toEqual(['booked o1', 'sent invoice of o1']);
  });

  it('whose key is at work elsewhere waits outside of its worker, and loses no attempt', async () => {
    const gate = new Gate();
    billing.beforeSending = () => gate.pass();
    await app.init();
    const first = await queue.add('send', invoice('o1'));
    await gate.reached();
    const second = await queue.add('send', invoice('o1'));
    await comesTo(second, 'delayed');
    gate.open();

    expect(await comesTo(second, 'completed')).toMatchObject({
      returnvalue: 'invoice of o1',
      attemptsMade: 1,
    });
    await comesTo(first, 'completed');
    expect(await effects()).toEqual(['booked o1', 'sent invoice of o1']);
  });

  it('whose worker is killed goes on in another one: from its last step, or with the result it had', async () => {
    const dying = await startChildApp('test/jobs/support/dying-worker.ts', { REDIS_URL: fixture.server.url });
    const jobs = await Promise.all(['o1', 'o2'].map((id) => queue.add('send', invoice(id))));
    await eventually(async () => expect(await redis.llen('reached')).toBe(2), 15_000);
    expect((await redis.lrange('reached', 0, -1)).sort()).toEqual(['after the work', 'in the work']);

    const dead = once(dying.process, 'exit');
    dying.signal('SIGKILL');
    await dead;
    expect((await effects()).length).toBe(3);
    await app.init();

    const ended = await Promise.all(jobs.map((job) => comesTo(job, 'completed')));
    expect(ended.map(({ returnvalue }) => returnvalue)).toEqual(['invoice of o1', 'invoice of o2']);
    expect(await effects()).toEqual(['booked o1', 'booked o2', 'sent invoice of o1', 'sent invoice of o2']);
    expect(app.get(IdempotencyService).counters().get('replayed')).toBe(1);
  }, 30_000);
});
