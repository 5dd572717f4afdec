import { Reports } from '../support/reports.js';
import { lastTick } from './last-tick.js';
import { untilSettled } from './until-settled.js';

import { Injectable } from '@nestjs/common';
import { Cron, SchedulerRegistry, Timeout } from '@nestjs/schedule';
import { IdempotencyService } from 'nestjs-idempotent';

@Injectable()
export class NightlyReport {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly schedules: SchedulerRegistry,
    private readonly reports: Reports,
  ) {}

  @Cron('0 0 3 * * *', { name: 'nightly-report', timeZone: 'Europe/Berlin' })
  async atThree() {
    const tick = lastTick(this.schedules.getCronJob('nightly-report')).toISOString();
    await untilSettled(() =>
      this.idempotency.run({ operation: 'nightly-report', key: tick, ttl: '3d' }, () =>
        this.reports.make(tick),
      ),
    );
  }

  /** Nobody was there at three: the first instance that starts makes up for it. */
  @Timeout(1000)
  atStart() {
    return this.atThree();
  }
}
