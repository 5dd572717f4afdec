import { DelayedError, UnrecoverableError, type Job } from 'bullmq';
import { IdempotencyException, type JobResult } from 'nestjs-idempotent';

/** Says to BullMQ what `run()` has said. */
export async function onceIn<T>(
  job: Job,
  token: string | undefined,
  run: () => Promise<JobResult<T>>,
): Promise<T> {
  try {
    return (await run()).value;
  } catch (error) {
    // What the work itself threw: `attempts` and `backoff` decide.
    if (!(error instanceof IdempotencyException)) throw error;
    // No retry mends it, for example `key-reused`.
    if (error.retryAfter === undefined) throw new UnrecoverableError(`${error.code}: ${error.message}`);
    // Somebody else is at it, or the storage is away. The job waits outside of its worker, and loses no attempt.
    await job.moveToDelayed(Date.now() + error.retryAfter * 1000, token);
    throw new DelayedError(error.code);
  }
}
