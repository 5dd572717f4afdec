import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { IdempotencyModule, IdempotencyService, type IdempotentOptions } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { FakeClock, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expectProblem, send, type Received } from '../http/support/requests.js';
import { startApp, type RunningApp } from '../support/apps.js';
import { startChildApp } from '../support/child-app.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { Abandoned, MODULE } from './support/abandoned.controller.js';
import { worlds } from './support/worlds.js';

describe('After kill -9 in a handler that had done its first step', () => {
  const routes = [
    'rerun',
    'recover',
    'recover-nothing',
    'refuse-or-recover',
    'refuse/rerun',
    'refuse/response',
    'refuse/value',
    'refuse/ttl',
  ];
  let redis: RedisServer;
  let survivor: RunningApp;
  /** Of a third process: an operator's, without any route. */
  let operator: RunningApp;
  let service: IdempotencyService;

  beforeAll(async () => {
    redis = await startRedis();
    const imports = () => [
      IdempotencyModule.forRoot({ ...MODULE, storage: redisStorage({ url: redis.url }) }),
    ];
    const [victim, ...apps] = await Promise.all([
      startChildApp('test/steps/support/abandoned-process.ts', { REDIS_URL: redis.url }),
      startApp('fastify', { imports: imports(), controllers: [Abandoned] }),
      startApp('express', { imports: imports() }),
    ]);
    [survivor, operator] = apps;
    service = operator.app.get(IdempotencyService);
    const cut = routes.map((route) =>
      expect(send(victim, `/${route}`, { key: route, headers: { 'x-halt': 'yes' } })).rejects.toThrow(),
    );
    while ((await send(victim, '/halted', { method: 'GET' })).json !== routes.length) await sleep(20);
    victim.signal('SIGKILL');
    await once(victim.process, 'exit');
    await Promise.all(cut);
  }, 60_000);
  afterAll(async () => {
    await survivor.close();
    await operator.close();
    await redis.stop();
  });

  const retry = (route: string) => send(survivor, `/${route}`, { key: route });
  const idOf = (route: string) =>
    service.recordId({
      operation: route.startsWith('refuse/') ? 'POST /refuse/:how' : `POST /${route}`,
      key: route,
    });

  /** Sends until the lease of the killed process is over. */
  async function afterLease(route: string): Promise<Received> {
    for (;;) {
      const answer = await retry(route);
      if (answer.json?.code !== 'key-in-progress') return answer;
      await sleep(50);
    }
  }
  const charge = { id: 'c-1', attempt: 1 };

  it.each([
    ['rerun', { ran: 2, takenOver: true, charge }],
    ['recover', { recovered: charge }],
    ['recover-nothing', { ran: 2, takenOver: true, charge }],
    ['refuse-or-recover', { recovered: charge }],
  ])('%s: a retry gets its answer', async (route, json) => {
    const answer = await afterLease(route);
    const again = await retry(route);

    expect([answer.status, answer.json]).toEqual([201, json]);
    expect([again.json, again.headers.get('idempotent-replayed')]).toEqual([json, 'true']);
  });

  it('refuse: every retry gets 409 outcome-unknown, until `resolve` in another process lets it run', async () => {
    expectProblem(await afterLease('refuse/rerun'), 409, 'outcome-unknown');
    expectProblem(await retry('refuse/rerun'), 409, 'outcome-unknown');
    expect(await service.inspect(idOf('refuse/rerun'))).toMatchObject({ abandoned: true, steps: ['charge'] });

    await service.resolve(idOf('refuse/rerun'), 'rerun');

    expect((await retry('refuse/rerun')).json).toMatchObject({ ran: 3, charge });
  });

  it.each([
    ['refuse/response', { status: 200, body: { by: 'operator' } }, 200],
    ['refuse/value', { value: { by: 'operator' } }, 201],
  ] as const)('%s: `resolve` in another process gives the answer', async (route, resolution, status) => {
    expectProblem(await afterLease(route), 409, 'outcome-unknown');

    await service.resolve(idOf(route), resolution);

    const answer = await retry(route);
    expect([answer.status, answer.json]).toEqual([status, { by: 'operator' }]);
    expect(answer.headers.get('idempotent-replayed')).toBe('true');
  });

  it('`resolve` keeps an answer for the ttl of its operation, in a process that has seen the operation', async () => {
    const hours = async (route: string) =>
      ((await service.inspect(idOf(route)))?.expiresInMs ?? 0) / 3_600_000;
    await afterLease('refuse/ttl');

    await survivor.app.get(IdempotencyService).resolve(idOf('refuse/ttl'), { status: 204 });

    expect(Math.ceil(await hours('refuse/ttl'))).toBe(3);
    expect(Math.ceil(await hours('refuse/response'))).toBe(24);
  });
});

describe.each(worlds)('After a crash in a handler over $name', ({ start }) => {
  const crash = async (options: IdempotentOptions) => {
    const clock = new FakeClock();
    const storage = new MemoryStorage({ clock });
    const gate = new Gate();
    const dead = await start(
      async (op) => {
        await op.step('charge', () => 'c-1');
        await gate.pass();
        return 'late';
      },
      storage,
      options,
    );
    const first = dead.ask();
    await gate.reached();
    await clock.advance(30_000);
    const app = await start(
      (op) => `attempt ${op.attempt}, ${[...op.finishedSteps.keys()].join()}`,
      storage,
      options,
    );
    let id = '';
    for await (const record of app.service.find()) id = record.id;
    return { app, id, finish: async () => (gate.open(), first) };
  };

  it('a retry gets what `recover` finds, or what the next attempt comes to', async () => {
    const found = await crash({ recover: (op) => `found ${String(op.finishedSteps.get('charge'))}` });
    expect([await found.app.ask(), await found.app.ask()]).toEqual(['found c-1', 'found c-1']);
    await found.finish();
    const nothing = await crash({ recover: () => undefined });
    expect(await nothing.app.ask()).toBe('attempt 2, charge');
    await nothing.finish();
  });

  it('`onAbandoned: refuse` is outcome-unknown until `resolve` decides', async () => {
    const { app, id, finish } = await crash({ onAbandoned: 'refuse' });
    expect(await app.ask()).toEqual({ code: 'outcome-unknown' });
    await app.service.resolve(id, { value: 'by hand' });
    expect(await app.ask()).toBe('by hand');
    await finish();

    const again = await crash({ onAbandoned: 'refuse' });
    await again.app.service.resolve(again.id, 'rerun');
    expect(await again.app.ask()).toBe('attempt 3, charge');
    await again.finish();
  });

  it('an answer in the words of HTTP is given as far as there is a value in it', async () => {
    const { app, id, finish } = await crash({ onAbandoned: 'refuse' });
    await app.service.resolve(id, {
      status: 200,
      body: '"by hand"',
      headers: { 'content-type': 'application/json' },
    });
    expect(await app.ask()).toBe('by hand');
    await finish();
  });
});
