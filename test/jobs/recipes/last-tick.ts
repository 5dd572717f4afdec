import type { SchedulerRegistry } from '@nestjs/schedule';

type CronJob = ReturnType<SchedulerRegistry['getCronJob']>;

/** The last time until `now` for which the job is scheduled: the same in every process, however late it asks. */
export function lastTick({ cronTime }: CronJob, now = new Date()): Date {
  for (let backMs = 1000; ; backMs *= 2) {
    const next = (after: Date) => cronTime.getNextDateFrom(after, cronTime.timeZone).toJSDate();
    let tick = next(new Date(now.getTime() - backMs));
    if (tick > now) continue; // nothing in that time: look further back
    for (let later = next(tick); later <= now; later = next(tick)) tick = later;
    return tick;
  }
}
