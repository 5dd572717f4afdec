import { afterEach } from '@jest/globals';
import { Logger, type INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  IdempotencyModule,
  IdempotencyService,
  type IdempotencyModuleOptions,
  type JobOptions,
} from 'nestjs-idempotent';

const running: INestApplicationContext[] = [];

afterEach(stopServices);

export async function stopServices(): Promise<void> {
  await Promise.all(running.splice(0).map((app) => app.close()));
}

/** An application without any server: jobs need none. Closed after the test. */
export async function startService(options: IdempotencyModuleOptions = {}): Promise<IdempotencyService> {
  const app = await Test.createTestingModule({ imports: [IdempotencyModule.forRoot(options)] }).compile();
  Logger.overrideLogger(false);
  running.push(await app.init());
  return app.get(IdempotencyService);
}

export const job = (key: string, more: Partial<JobOptions> = {}): JobOptions => ({
  operation: 'import-invoice',
  key,
  ...more,
});

/** The code of the error that the work ends with; `none` when it ends well. */
export const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'none',
    (error: unknown) => (error as { code?: string }).code,
  );
