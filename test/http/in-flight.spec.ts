import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { memoryStorage } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { platforms, start } from './support/apps.js';
import { ordersController } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, retryAfter, send } from './support/requests.js';

const body = { sku: 'A-123' };

/** Gives requests time to come in, which nothing shows from outside. One that comes later is replayed: no harm. */
const arrived = (requests: readonly Promise<unknown>[]) => Promise.race([...requests, sleep(50)]);

/** A handler that stands still until the gate opens, and two apps over one storage that have it. */
async function twoApps(
  platform: (typeof platforms)[number],
  options: Parameters<typeof ordersController>[1] = {},
) {
  const gate = new Gate();
  let runs = 0;
  const handler = async () => {
    runs += 1;
    await gate.pass();
    return { runs };
  };
  const setUp = { controllers: [ordersController(handler, options)], options: { storage: memoryStorage() } };
  return { gate, app: await start(platform, setUp), other: await start(platform, setUp), runs: () => runs };
}

describe.each(platforms)('a duplicate of a running request on %s', (platform) => {
  it('is refused with 409 and a Retry-After in whole seconds, in the same and in another process', async () => {
    const { gate, app, other, runs } = await twoApps(platform);
    const first = send(app, '/orders', { key: 'k', body });
    await gate.reached();

    for (const duplicate of [
      await send(app, '/orders', { key: 'k', body }),
      await send(other, '/orders', { key: 'k', body }),
    ]) {
      expectProblem(duplicate, 409, 'key-in-progress');
      expect(retryAfter(duplicate)).toBeLessThanOrEqual(30);
      expect(duplicate.json.detail).toContain(`after ${retryAfter(duplicate)} second`);
    }
    gate.open();
    expectReplayOf(await first, await send(other, '/orders', { key: 'k', body }));
    expect(runs()).toBe(1);
  });

  it('gets 422 and not 409 when it is another request', async () => {
    const { gate, app, other } = await twoApps(platform);
    const first = send(app, '/orders', { key: 'k', body });
    await gate.reached();

    expectProblem(await send(app, '/orders', { key: 'k', body: { sku: 'B' } }), 422, 'key-reused');
    expectProblem(await send(other, '/orders', { key: 'k', body: { sku: 'B' } }), 422, 'key-reused');
    gate.open();
    await first;
    expectProblem(await send(app, '/orders', { key: 'k', body: { sku: 'B' } }), 422, 'key-reused');
  });

  it('waits with `inFlight: wait`, and all get the one recorded answer, marked as replayed', async () => {
    const { gate, app, other, runs } = await twoApps(platform, { inFlight: 'wait' });
    const first = send(app, '/orders', { key: 'k', body });
    await gate.reached();
    const duplicates = [app, app, other, other].map((target) => send(target, '/orders', { key: 'k', body }));
    await arrived(duplicates);

    gate.open();

    for (const duplicate of await Promise.all(duplicates)) expectReplayOf(await first, duplicate);
    expect(runs()).toBe(1);
  });

  it('waits no longer than `waitTimeout`, and is refused then', async () => {
    const { gate, app, other } = await twoApps(platform, { inFlight: 'wait', waitTimeout: '50ms' });
    const first = send(app, '/orders', { key: 'k', body });
    await gate.reached();

    expectProblem(await send(app, '/orders', { key: 'k', body }), 409, 'key-in-progress');
    expectProblem(await send(other, '/orders', { key: 'k', body }), 409, 'key-in-progress');
    gate.open();
    await first;
  });

  it('runs next, one of all who wait, when the first one fails', async () => {
    const gate = new Gate();
    let runs = 0;
    const handler = async () => {
      if ((runs += 1) > 1) return { runs };
      await gate.pass();
      throw new Error('the first one fails');
    };
    const setUp = {
      controllers: [ordersController(handler, { inFlight: 'wait' })],
      options: { storage: memoryStorage() },
    };
    const app = await start(platform, setUp);
    const other = await start(platform, setUp);
    const first = send(app, '/orders', { key: 'k', body });
    await gate.reached();
    const waiting = [app, app, other].map((target) => send(target, '/orders', { key: 'k', body }));
    await arrived(waiting);

    gate.open();

    expect((await first).status).toBe(500);
    const answers = await Promise.all(waiting);
    expect(answers.map(({ status, json }) => ({ status, json }))).toEqual(
      Array(3).fill({ status: 201, json: { runs: 2 } }),
    );
    expect(answers.filter(({ headers }) => headers.get('idempotent-replayed') === null)).toHaveLength(1);
    expect(runs).toBe(2);
  });

  it('is answered by whoever wins when many come at the same moment, and the handler runs once', async () => {
    const { gate, app, other, runs } = await twoApps(platform, { inFlight: 'wait' });
    gate.open();

    const all = await Promise.all(
      Array.from({ length: 20 }, (_, index) => send(index % 2 ? app : other, '/orders', { key: 'k', body })),
    );

    expect(new Set(all.map(({ text }) => text)).size).toBe(1);
    expect(all.filter(({ headers }) => headers.get('idempotent-replayed') === null)).toHaveLength(1);
    expect(runs()).toBe(1);
  });
});
