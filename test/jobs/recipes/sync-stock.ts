import { Reports } from '../support/reports.js';
import { lastTick } from './last-tick.js';
import { untilSettled } from './until-settled.js';

import { Injectable } from '@nestjs/common';
import { Cron, CronExpression, SchedulerRegistry } from '@nestjs/schedule';
import { IdempotencyException, IdempotencyService } from 'nestjs-idempotent';

@Injectable()
export class SyncStock {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly schedules: SchedulerRegistry,
    private readonly reports: Reports,
  ) {}

  @Cron(CronExpression.EVERY_SECOND, { name: 'sync-stock', timeZone: 'UTC' })
  async tick() {
    const tick = lastTick(this.schedules.getCronJob('sync-stock')).toISOString();
    await untilSettled(() =>
      this.idempotency.run({ operation: 'sync-stock', key: tick, ttl: '1h' }, () => this.unlessRunning(tick)),
    );
  }

  /** `skipped` is a result too: it is recorded for this tick, so that every instance skips it. */
  private async unlessRunning(tick: string) {
    try {
      return await this.idempotency.withLock('sync-stock', { lease: '30s' }, () => this.reports.make(tick));
    } catch (error) {
      if (error instanceof IdempotencyException && error.code === 'lock-held') return 'skipped';
      throw error;
    }
  }
}
