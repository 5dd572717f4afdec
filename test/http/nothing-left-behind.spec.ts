import {
  Controller,
  Post,
  Req,
  Res,
  UseInterceptors,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import { from, map, timeout } from 'rxjs';
import { describe, expect, it } from '@jest/globals';
import { Idempotent, IdempotencyService, memoryStorage, type IdempotencyEvent } from 'nestjs-idempotent';
import { faultyStorage, Gate } from 'nestjs-idempotent/testing';
import { once } from 'node:events';
import { Agent, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import { promisify } from 'node:util';
import { platforms, start } from './support/apps.js';
import { eventually } from './support/eventually.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { send } from './support/requests.js';
import { watchTimers } from './support/timers.js';

const body = { sku: 'A-123' };

/** Timers and sockets that hold this process, by kind. */
function resources(): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counted[kind] = (counted[kind] ?? 0) + 1;
  return counted;
}

/** Listeners that the library has set; node and the platform leave some of their own on a dead response. */
const ours = (response: ServerResponse): string[] =>
  response
    .eventNames()
    .flatMap((name) => response.listeners(name))
    .map(String)
    .filter((source) => source.includes('execution.'));

/** Sends a request on a connection of its own; the call that it gives breaks that. */
function sendToLeave({ url }: { url: string }): () => void {
  const client = request(`${url}/orders`, {
    method: 'POST',
    agent: false,
    headers: { 'Idempotency-Key': 'k', 'Content-Type': 'application/json' },
  });
  client.on('error', () => {});
  client.end(JSON.stringify(body));
  return () => client.destroy();
}

/** How many clients are connected to it. */
const connectionsOf = (app: INestApplication): Promise<number> =>
  promisify((done: (error: Error | null, count: number) => void) =>
    (app.getHttpServer() as Server).getConnections(done),
  )();

/** How many records an app is claiming or running. */
const runningIn = (app: INestApplication): number =>
  app.get<{ engine: { running: number } }>(Symbol.for('nestjs-idempotent:runtime')).engine.running;

describe.each(platforms)('nothing is left behind on %s', (platform) => {
  it('once a request has its answer: no lease, no run, no timer', async () => {
    const timers = watchTimers();
    try {
      const storage = faultyStorage(memoryStorage());
      const app = await start(platform, {
        controllers: [ordersController(countingHandler())],
        options: { storage },
      });
      for (let index = 0; index < 5; index += 1) {
        await send(app, '/orders', { key: `k${index}`, body });
        await send(app, '/orders', { key: `k${index}`, body });
        await send(app, '/orders', { key: `k${index}`, body: {} });
      }

      expect(runningIn(app.app)).toBe(0);
      expect(timers.pending()).toBe(0);
    } finally {
      timers.stop();
    }
  });

  it('once the app is closed, whatever went on in it', async () => {
    const timers = watchTimers();
    try {
      const storage = faultyStorage(memoryStorage());
      const app = await start(platform, {
        controllers: [ordersController(countingHandler(), { storageTimeout: '100ms', inFlight: 'wait' })],
        options: { storage, storageTimeout: '100ms' },
      });
      // An outcome that cannot be stored, and a claim that cannot be given up: both go on in the background.
      storage.rejectNext('complete', Infinity);
      await send(app, '/orders', { key: 'unrecorded', body });
      storage.rejectNext('claim', Infinity);
      storage.rejectNext('release', Infinity);
      await send(app, '/orders', { key: 'unclaimed', body });
      expect(timers.pending()).toBeGreaterThan(0);

      await app.close();

      expect(timers.pending()).toBe(0);
    } finally {
      timers.stop();
    }
  });

  it('by a boot and a close: the process holds what it held before', async () => {
    const before = resources();
    const app = await start(platform, { controllers: [ordersController(countingHandler())] });
    await send(app, '/orders', { key: 'k', body, headers: { Connection: 'close' } });

    await app.close();

    await eventually(() => expect(resources()).toEqual(before));
  });

  /** A handler that stands still, a client that leaves meanwhile, and the response that it leaves behind. */
  const abandoned = async (handler: (gate: Gate) => unknown) => {
    const gate = new Gate();
    let response: ServerResponse | undefined;
    let runs = 0;
    @Controller('orders')
    class Orders {
      @Post()
      @Idempotent()
      create(@Res({ passthrough: true }) reply: ServerResponse | { raw: ServerResponse }): unknown {
        response ??= 'raw' in reply ? reply.raw : reply;
        runs += 1;
        return handler(gate);
      }
    }
    const app = await start(platform, { controllers: [Orders] });
    const events: IdempotencyEvent[] = [];
    app.app.get(IdempotencyService).events$.subscribe((event) => events.push(event));
    const leave = sendToLeave(app);
    await gate.reached();
    expect(ours(response as unknown as ServerResponse)).toHaveLength(1);
    leave();
    await eventually(() => expect(response?.req.socket.destroyed).toBe(true));
    gate.open();
    return { app, response: response as ServerResponse, runs: () => runs, events };
  };

  it.each<[string, (gate: Gate) => unknown]>([
    ['a promise', (gate) => gate.pass().then(() => ({ id: 'order-1' }))],
    ['an Observable', (gate) => from(gate.pass()).pipe(map(() => ({ id: 'order-1' })))],
  ])(
    'by a client that leaves while the handler works on %s: it is done once, and recorded',
    async (_what, handler) => {
      const { app, response, runs, events } = await abandoned(handler);

      await eventually(() => expect(runningIn(app.app)).toBe(0));

      expect(events.map(({ type }) => type)).not.toContain('lease-lost');
      expect(ours(response)).toEqual([]);
      const retry = await send(app, '/orders', { key: 'k', body });
      expect({ status: retry.status, json: retry.json }).toEqual({ status: 201, json: { id: 'order-1' } });
      expect(runs()).toBe(1);
    },
  );

  it('by a client that leaves while the storage is asked: it is done once, and recorded', async () => {
    const storage = faultyStorage(memoryStorage());
    const handler = countingHandler();
    const app = await start(platform, { controllers: [ordersController(handler)], options: { storage } });
    const gate = storage.holdAnswer('claim');
    const leave = sendToLeave(app);
    await gate.reached();
    leave();
    gate.open();

    await eventually(() => expect(storage.calls('complete')).toHaveLength(1));
    await eventually(() => expect(runningIn(app.app)).toBe(0));

    const retry = await send(app, '/orders', { key: 'k', body });
    expect(retry.json).toEqual({ id: 'order-1' });
    expect(retry.headers.get('idempotent-replayed')).toBe('true');
  });

  it('on a connection that carries many requests: its socket has no more listeners after the last than after the first', async () => {
    const sockets = new Set<Socket>();
    const counts: number[] = [];
    @Controller('orders')
    class Orders {
      @Post()
      @Idempotent()
      create(@Req() request: { socket: Socket }) {
        sockets.add(request.socket);
        counts.push(
          request.socket.eventNames().reduce((sum, name) => sum + request.socket.listenerCount(name), 0),
        );
      }
    }
    const app = await start(platform, { controllers: [Orders] });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let index = 0; index < 20; index += 1) {
      const client = request(`${app.url}/orders`, {
        method: 'POST',
        agent,
        headers: { 'Idempotency-Key': `k${index}` },
      });
      client.end();
      const [response] = (await once(client, 'response')) as [IncomingMessage];
      await once(response.resume(), 'end');
    }
    agent.destroy();

    expect(sockets.size).toBe(1);
    expect(counts.at(-1)).toBe(counts[1]);
  });

  it('when the app closes just after its client has left: the outcome is kept for the retry', async () => {
    const storage = memoryStorage();
    const gate = new Gate();
    const handler = async () => {
      await gate.pass();
      return { id: 'order-1' };
    };
    const setUp = { controllers: [ordersController(handler)], options: { storage } };
    const app = await start(platform, setUp);
    const leave = sendToLeave(app);
    await gate.reached();
    leave();
    gate.open();

    await app.close();

    const other = await start(platform, setUp);
    const retry = await send(other, '/orders', { key: 'k', body });
    expect(retry.json).toEqual({ id: 'order-1' });
    expect((await send(other, '/orders', { key: 'k', body })).text).toBe(retry.text);
  });

  it.each(['the handler works', 'the storage is asked'])(
    'when the app closes while a handler has settled that nobody will answer for, as its client left while %s: it is not run again',
    async (when) => {
      const storage = faultyStorage(memoryStorage());
      const gate = new Gate();
      let runs = 0;
      @Controller('orders')
      class Orders {
        @Post()
        @Idempotent()
        async create(@Res() _response: unknown) {
          runs += 1;
          await gate.pass();
        }
      }
      // Less than the second for which an answer may still come: closing does not wait for that.
      const options = { storage, storageTimeout: '100ms' };
      const app = await start(platform, { controllers: [Orders], options });
      const claim = when === 'the storage is asked' ? storage.holdAnswer('claim') : undefined;
      const leave = sendToLeave(app);
      if (claim) {
        await claim.reached();
        leave();
        await eventually(async () => expect(await connectionsOf(app.app)).toBe(0));
        claim.open();
      }
      await gate.reached();
      leave();
      gate.open();

      await app.close();

      const other = await start(platform, { controllers: [Orders], options });
      const retry = await send(other, '/orders', { key: 'k', body });
      expect(retry.json).toMatchObject({ code: 'result-not-replayable' });
      expect(runs).toBe(1);
    },
  );

  it('when the app closes while a late outcome cannot be saved: it is tried a few times more, and then no more', async () => {
    const timers = watchTimers();
    const storage = faultyStorage(memoryStorage());
    storage.rejectNext('saveStep', Infinity);
    const gate = new Gate();
    @Controller('orders')
    class Orders {
      @Post()
      @UseInterceptors({ intercept: (_context, next) => next.handle().pipe(timeout(20)) } as NestInterceptor)
      @Idempotent()
      async create() {
        await gate.pass();
        return { id: 'order-1' };
      }
    }
    const app = await start(platform, { controllers: [Orders], options: { storage } });
    expect((await send(app, '/orders', { key: 'k', body })).status).toBe(500);
    gate.open();
    await eventually(() => expect(storage.calls('saveStep')).not.toHaveLength(0));

    await app.close();
    const tried = storage.calls('saveStep').length;

    await eventually(() => expect(storage.calls('complete')).not.toHaveLength(0));
    // Eight tries at most, of one call each, and the one that was under way.
    expect(storage.calls('saveStep').length - tried).toBeLessThanOrEqual(9);
    await eventually(() => expect(timers.pending()).toBe(0));
    timers.stop();
  });
});
