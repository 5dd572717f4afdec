import { afterEach, describe, expect, it } from '@jest/globals';
import { type INestApplicationContext, Logger, type Type } from '@nestjs/common';
import { ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import { IdempotencyModule, memoryStorage, type IdempotencyStorage } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { eventually } from '../support/redis-fixture.js';
import { lastTick } from './recipes/last-tick.js';
import { NightlyReport } from './recipes/nightly-report.js';
import { SyncStock } from './recipes/sync-stock.js';
import { Reports } from './support/reports.js';

const running: INestApplicationContext[] = [];
afterEach(() => Promise.all(running.splice(0).map((app) => app.close())));

/** One of several instances over one storage. */
async function instance(storage: IdempotencyStorage, task: Type, reports: Reports) {
  const app = await Test.createTestingModule({
    imports: [IdempotencyModule.forRoot({ storage, namespace: 'cron' }), ScheduleModule.forRoot()],
    providers: [task, { provide: Reports, useValue: reports }],
  }).compile();
  Logger.overrideLogger(false);
  running.push(app);
  await app.init();
  return app;
}

/** Notes for which tick something was made. */
function noted(make: (tick: string) => Promise<void> | void = () => {}) {
  const ticks: string[] = [];
  const reports: Reports = {
    async make(tick) {
      ticks.push(tick);
      await make(tick);
      return `for ${tick}`;
    },
  };
  return { ticks, reports };
}

describe('a scheduled task of several instances', () => {
  it('runs in one of them at each tick', async () => {
    const storage = memoryStorage();
    const { ticks, reports } = noted();
    let asked = 0;
    for (let count = 0; count < 3; count += 1) {
      const app = await instance(storage, SyncStock, reports);
      const job = app.get(SchedulerRegistry).getCronJob('sync-stock');
      job.addCallback(() => void (asked += 1));
    }
    await eventually(() => expect(asked).toBeGreaterThanOrEqual(6));
    await eventually(() => expect(ticks.length).toBeGreaterThanOrEqual(2));
    expect(new Set(ticks).size).toBe(ticks.length);
    expect(ticks.every((tick) => /:\d\d\.000Z$/.test(tick))).toBe(true);
  });

  it('is made up for by the first instance that starts after a tick that nobody was there for, and by no other', async () => {
    const storage = memoryStorage();
    const { ticks, reports } = noted();
    const first = await instance(storage, NightlyReport, reports);
    await eventually(() => expect(ticks).toHaveLength(1));
    const due = lastTick(first.get(SchedulerRegistry).getCronJob('nightly-report'));
    expect(ticks).toEqual([due.toISOString()]);

    const late = await instance(storage, NightlyReport, reports);
    await late.get(NightlyReport).atStart();
    expect(ticks).toHaveLength(1);
  });

  it('waits in the instances that came second until the first is through, and runs there when it failed', async () => {
    const storage = memoryStorage();
    const gate = new Gate();
    let times = 0;
    const { ticks, reports } = noted(async () => {
      if ((times += 1) > 1) return;
      await gate.pass();
      throw new Error('the disk is full');
    });
    const one = (await instance(storage, NightlyReport, reports)).get(NightlyReport);
    const two = (await instance(storage, NightlyReport, reports)).get(NightlyReport);
    const failing = one.atThree();
    await gate.reached();
    const waiting = two.atThree();
    gate.open();

    await expect(failing).rejects.toThrow('the disk is full');
    await waiting;
    expect(ticks).toHaveLength(2);
  });

  it('skips a tick that comes while the one before is at work, in all instances', async () => {
    const storage = memoryStorage();
    const gate = new Gate();
    const { ticks, reports } = noted(() => gate.pass());
    const app = await instance(storage, SyncStock, reports);
    await gate.reached();
    const other = (await instance(storage, SyncStock, reports)).get(SyncStock);
    const job = app.get(SchedulerRegistry).getCronJob('sync-stock');
    const began = ticks[0];

    await eventually(() => expect(lastTick(job).toISOString()).not.toBe(began));
    await other.tick();
    expect(ticks).toEqual([began]);
    gate.open();
    await eventually(() => expect(ticks.length).toBeGreaterThanOrEqual(2));
  });
});

describe('the tick of a schedule', () => {
  it('is the same from its first moment until the next one begins', async () => {
    const app = await instance(memoryStorage(), NightlyReport, noted().reports);
    const job = app.get(SchedulerRegistry).getCronJob('nightly-report');
    const at = (now: string) => lastTick(job, new Date(now)).toISOString();

    expect(at('2026-11-22T02:00:00.000Z')).toBe('2026-11-22T02:00:00.000Z'); // three o'clock in Berlin
    expect(at('2026-11-22T02:00:00.004Z')).toBe('2026-11-22T02:00:00.000Z');
    expect(at('2026-11-23T01:59:59.999Z')).toBe('2026-11-22T02:00:00.000Z');
    expect(at('2026-11-23T02:00:01.000Z')).toBe('2026-11-23T02:00:00.000Z');
    expect(at('2026-07-01T12:00:00.000Z')).toBe('2026-07-01T01:00:00.000Z');
  });
});
