import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { IdempotencyModule } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { platforms, startApp, type RunningApp } from '../support/apps.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { CountingController, executions, postOrder } from './counting.controller.js';

describe.each(platforms)('a Redis that stands still, on %s', (platform) => {
  let redis: RedisServer;
  let app: RunningApp;

  beforeAll(async () => {
    redis = await startRedis();
    const storage = redisStorage({ url: redis.url });
    app = await startApp(platform, {
      imports: [IdempotencyModule.forRoot({ namespace: 'stopped', storage, scope: () => 'ada' })],
      controllers: [CountingController],
    });
  });
  afterAll(async () => {
    await app.close();
    await redis.stop();
  });

  it('gives 503 with Retry-After within 1.5 s, and after it goes on the same key runs once and gives 201 within 2 s', async () => {
    const before = executions.count;
    redis.pause();
    const stoppedAt = performance.now();
    const refused = await postOrder(app.url, 'k');
    expect(performance.now() - stoppedAt).toBeLessThan(1500);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
    expect(await refused.json()).toMatchObject({ code: 'storage-unavailable' });
    expect(executions.count).toBe(before);

    redis.resume();
    const resumedAt = performance.now();
    const answer = await postOrder(app.url, 'k');
    expect(answer.status).toBe(201);
    expect(performance.now() - resumedAt).toBeLessThan(2000);
    expect(executions.count).toBe(before + 1);
    const again = await postOrder(app.url, 'k');
    expect([again.status, again.headers.get('idempotent-replayed'), await again.text()]).toEqual([
      201,
      'true',
      await answer.text(),
    ]);
    expect(executions.count).toBe(before + 1);
  }, 15_000);

  it('gives the handler’s own answer, marked unrecorded, when it stops before the outcome is stored, and stores it later', async () => {
    const first = await postOrder(app.url, 'warm');
    expect(first.status).toBe(201);
    const before = executions.count;
    executions.onRun = () => redis.pause();
    const answer = await postOrder(app.url, 'unrecorded');
    executions.onRun = undefined;
    expect([answer.status, answer.headers.get('idempotency-status')]).toEqual([201, 'unrecorded']);
    const text = await answer.text();
    redis.resume();
    // The write goes on in the background; until it is through, the key is still running.
    for (;;) {
      const again = await postOrder(app.url, 'unrecorded');
      if (again.status === 409) continue;
      expect([again.status, again.headers.get('idempotent-replayed'), await again.text()]).toEqual([
        201,
        'true',
        text,
      ]);
      break;
    }
    expect(executions.count).toBe(before + 1);
  }, 15_000);
});
