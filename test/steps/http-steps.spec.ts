import {
  ConflictException,
  Controller,
  Post,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
} from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import {
  Idempotent,
  IdempotencyService,
  IdempotentOp,
  IdempotentOperation,
  memoryStorage,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { faultyStorage, Gate } from 'nestjs-idempotent/testing';
import { randomUUID } from 'node:crypto';
import { retry } from 'rxjs';
import { around } from '../http/responses/around.js';
import { platforms, start } from '../http/support/apps.js';
import { crashedRun } from '../http/support/crashed-run.js';
import { ordersController, type Handler } from '../http/support/orders.controller.js';
import { expectProblem, expectReplayOf, retryAfter, send } from '../http/support/requests.js';

const body = { sku: 'A-123' };

describe.each(platforms)('`op.step` in a route, on %s', (platform) => {
  const app = (handler: Handler, options: IdempotentOptions = {}, storage = memoryStorage()) =>
    start(platform, { controllers: [ordersController(handler, options)], options: { storage } });

  it('is not done again after a throw: the retry resumes after the last finished step', async () => {
    const log: string[] = [];
    let away = true;
    const orders = await app(async (_body, op) => {
      const charge = await op.step('charge', () => {
        log.push('charge');
        return { id: `c-${op.attempt}` };
      });
      return op.step('ship', () => {
        log.push('ship');
        if (away) throw new Error('the carrier is away');
        return { charge, shipped: op.attempt };
      });
    });

    expect((await send(orders, '/orders', { key: 'k', body })).status).toBe(500);
    away = false;
    const second = await send(orders, '/orders', { key: 'k', body });

    expect(second.json).toEqual({ charge: { id: 'c-1' }, shipped: 2 });
    expect(log).toEqual(['charge', 'ship', 'ship']);
    expectReplayOf(second, await send(orders, '/orders', { key: 'k', body }));
  });

  it('is not begun by a process that stood still longer than its lease; the retry goes on', async () => {
    const log: string[] = [];
    const handler: Handler = async (_body, op) => {
      await op.step('charge', () => void log.push(`charge ${op.attempt}`));
      // Nothing else runs meanwhile, not even the timers that would tell it.
      if (op.attempt === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
      await op.step('ship', () => void log.push(`ship ${op.attempt}`));
    };
    const orders = await app(handler, { lease: '600ms', storageTimeout: '300ms' });

    const late = await send(orders, '/orders', { key: 'k', body });

    expectProblem(late, 409, 'key-in-progress');
    expect(retryAfter(late)).toBeGreaterThanOrEqual(1);
    expect((await send(orders, '/orders', { key: 'k', body })).status).toBe(201);
    expect(log).toEqual(['charge 1', 'ship 2']);
  });

  it('whose result cannot be saved is 503, and the retry does it again under the same derived key', async () => {
    const keys: string[] = [];
    const storage = faultyStorage(memoryStorage());
    const handler: Handler = (_body, op) =>
      op.step('charge', () => {
        keys.push(op.deriveKey('charge'));
        return { attempt: op.attempt };
      });
    const orders = await app(handler, { storageTimeout: '100ms' }, storage);
    storage.rejectNext('saveStep', Infinity);

    const refused = await send(orders, '/orders', { key: 'k', body });
    storage.heal();
    const second = await send(orders, '/orders', { key: 'k', body });

    expectProblem(refused, 503, 'storage-unavailable');
    expect(retryAfter(refused)).toBe(1);
    expect(second.json).toEqual({ attempt: 2 });
    expect(keys).toEqual([keys[0], keys[0]]);
  });

  it.each<[string, number, string, Handler]>([
    [
      'whose result does not survive JSON',
      500,
      'step-not-storable',
      (_body, op) => op.step('charge', () => ({ at: new Date(0) })),
    ],
    [
      'whose name was used before',
      500,
      'step-reused',
      async (_body, op) => {
        await op.step('charge', () => 1);
        return op.step('charge', () => 2);
      },
    ],
  ])('%s is an error that names it', async (_what, status, code, handler) => {
    const orders = await app(handler);

    const refused = await send(orders, '/orders', { key: 'k', body });

    expectProblem(refused, status, code);
    expect(refused.json.detail).toContain('`charge`');
    expect(refused.headers.get('idempotency-expires')).toBeNull();
  });

  it('whose name is none is a plain 500', async () => {
    const orders = await app((_body, op) => op.step('', () => 1));
    expect((await send(orders, '/orders', { key: 'k', body })).status).toBe(500);
  });

  it('side by side with others: one that fails lets the others end, and they are not done again', async () => {
    const log: string[] = [];
    const gate = new Gate();
    const orders = await app((_body, op) =>
      Promise.all([
        op.step('slow', async () => {
          log.push('slow');
          await gate.pass();
        }),
        op.step('failing', () => {
          log.push('failing');
          if (op.attempt === 1) throw new Error('away');
          return 'done';
        }),
      ]),
    );

    const first = send(orders, '/orders', { key: 'k', body });
    await gate.reached();
    gate.open();
    expect((await first).status).toBe(500);
    expect((await send(orders, '/orders', { key: 'k', body })).json).toEqual([null, 'done']);
    expect(log).toEqual(['slow', 'failing', 'failing']);
  });

  it('is done once when an interceptor inside lets the handler run again', async () => {
    const log: string[] = [];
    let runs = 0;
    const again = around((next: CallHandler, _context: ExecutionContext) => next.handle().pipe(retry(1)));
    @Controller('orders')
    class Orders {
      @Post()
      @UseInterceptors(again)
      @Idempotent()
      async create(@IdempotentOp() op: IdempotentOperation) {
        const id = await op.step('charge', () => log.push('charge'));
        if ((runs += 1) === 1) throw new Error('a glitch');
        return { id, runs };
      }
    }
    const orders = await start(platform, { controllers: [Orders] });

    expect((await send(orders, '/orders', { key: 'k', body })).json).toEqual({ id: 1, runs: 2 });
    expect(log).toEqual(['charge']);
  });

  it('just runs without a key, and what it did is undone when the handler ends in a final error', async () => {
    const log: string[] = [];
    const handler: Handler = async (_body, op) => {
      for (const name of ['a', 'b'])
        await op.step(name, () => log.push(name), { undo: (at) => log.push(`undo ${name}, ${at}`) });
      if (body === undefined) throw new ConflictException();
      throw (_body as { sku: string }).sku === 'final' ? new ConflictException() : new Error('a bug');
    };
    const orders = await app(handler, { required: false });

    expect((await send(orders, '/orders', { body })).status).toBe(500);
    expect((await send(orders, '/orders', { body: { sku: 'final' } })).status).toBe(409);

    expect(log).toEqual(['a', 'b', 'a', 'b', 'undo b, 4', 'undo a, 3']);
  });

  it('just runs while the storage is down and `onStorageFailure` says so', async () => {
    const storage = faultyStorage(memoryStorage());
    storage.rejectNext('claim', Infinity);
    const handler: Handler = (_body, op) => op.step('charge', () => op.deriveKey('charge'));
    const orders = await app(handler, { onStorageFailure: 'run', storageTimeout: '100ms' }, storage);

    const first = await send(orders, '/orders', { key: 'k', body });

    expect(first.text).toMatch(/^[0-9a-f-]{36}$/);
    expect((await send(orders, '/orders', { key: 'k', body })).text).toBe(first.text);
    storage.heal();
  });

  it.each([
    ['of which one is no step', 'charge', '[1]'],
    ['of which one is no JSON', 'charge', '{'],
    ['undone for an error that is none', '\u0000undoing', '{"as":"http"}'],
  ])(
    '%s is 500 record-unreadable: nothing is done again, and the record stays',
    async (_what, name, bytes) => {
      const storage = memoryStorage();
      let runs = 0;
      const handler: Handler = () => {
        runs += 1;
        throw new Error('a bug');
      };
      const orders = await app(handler, {}, storage);
      const service = orders.app.get(IdempotencyService);
      const types: string[] = [];
      service.events$.subscribe(({ type }) => types.push(type));
      const id = service.recordId({ operation: 'POST /orders', key: 'k' });
      await send(orders, '/orders', { key: 'k', body });
      const claim = { id, ownerToken: randomUUID() };
      const fingerprint = (await storage.get(id))?.fingerprint ?? '';
      await storage.claim(id, { ...claim, fingerprint, leaseMs: 1000, keepMs: 60_000, takeOver: true });
      await storage.saveStep(claim, name, Buffer.from(bytes));
      await storage.release(claim, { forget: false });

      expectProblem(await send(orders, '/orders', { key: 'k', body }), 500, 'record-unreadable');
      expectProblem(await send(orders, '/orders', { key: 'k', body }), 500, 'record-unreadable');

      expect(runs).toBe(1);
      expect(types.filter((type) => type === 'record-unreadable')).toHaveLength(2);
      expect(await storage.get(id)).toMatchObject({ state: 'in_progress', released: true, attempt: 2 });
    },
  );

  it('that earlier attempts have finished is what `recover` can look at', async () => {
    const handler: Handler = () => 'never';
    const seen: unknown[] = [];
    const recover = (op: IdempotentOperation) => {
      seen.push([...op.finishedSteps]);
      return { found: op.finishedSteps.get('charge') };
    };
    const { app: survivor, wake } = await crashedRun(platform, { recover }, handler, async (op, gate) => {
      await op.step('charge', () => ({ id: 'c-1' }));
      await gate.pass();
    });

    const answer = await send(survivor, '/orders', { key: 'k', body });

    expect(answer.json).toEqual({ found: { id: 'c-1' } });
    expect(seen).toEqual([[['charge', { id: 'c-1' }]]]);
    await wake();
  });

  it('may stand in `recover`, and is kept although that throws then', async () => {
    const log: string[] = [];
    let asked = 0;
    const recover = async (op: IdempotentOperation) => {
      const id = await op.step('charge', () => log.push('charge'));
      if ((asked += 1) === 1) throw new Error('away');
      return { id, attempt: op.attempt };
    };
    const { app: survivor, wake } = await crashedRun(platform, { recover }, () => 'never');

    expect((await send(survivor, '/orders', { key: 'k', body })).status).toBe(500);
    await wake();

    // It was released, so that the handler may run: what has happened is in its steps.
    expect((await send(survivor, '/orders', { key: 'k', body })).text).toBe('never');
    expect(log).toEqual(['charge']);
  });
});
