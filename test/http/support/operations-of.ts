import { expect } from '@jest/globals';
import { IdempotencyService } from 'nestjs-idempotent';
import type { Platform } from '../../support/apps.js';
import { start, type AppOptions } from './apps.js';
import { send, type Sending } from './requests.js';

/** Sends a request with a key of its own and answers the names of the records that there are then. */
export async function operationsOf(
  platform: Platform,
  app: AppOptions,
  paths: readonly (readonly [path: string, sending?: Sending])[],
): Promise<string[]> {
  const { app: nest, url } = await start(platform, app);
  const service = nest.get(IdempotencyService);
  const names: string[] = [];
  for (const [path, sending] of paths) {
    const answer = await send({ url }, path, { key: 'k', ...sending });
    expect(answer.status).toBeLessThan(300);
    for await (const { operation, id } of service.find()) {
      names.push(operation);
      await service.forget(id);
    }
  }
  return names;
}
