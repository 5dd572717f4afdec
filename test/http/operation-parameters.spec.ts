import { Controller, Get, Post } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import {
  Idempotent,
  IdempotencyKey,
  IdempotencyService,
  IdempotentOp,
  IdempotentOperation,
} from 'nestjs-idempotent';
import { FakeClock, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { platforms, start } from './support/apps.js';
import { ordersController, type Handler } from './support/orders.controller.js';
import { send } from './support/requests.js';

const body = { sku: 'A-123' };
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe.each(platforms)('what a handler sees of its operation, on %s', (platform) => {
  const set = async (handler: Handler) => start(platform, { controllers: [ordersController(handler)] });

  it('is the key as the client meant it', async () => {
    @Controller('orders')
    class Orders {
      @Post()
      @Idempotent()
      create(@IdempotencyKey() key: string, @IdempotentOp() op: IdempotentOperation) {
        return { key, same: op.key === key };
      }
    }
    const app = await start(platform, { controllers: [Orders] });

    expect((await send(app, '/orders', { key: '"a \\"b\\""' })).json).toEqual({ key: 'a "b"', same: true });
  });

  it('is the number of this attempt', async () => {
    let runs = 0;
    const app = await set((_body, op) => {
      if ((runs += 1) < 3) throw new Error('fails');
      return { attempt: op.attempt, takenOver: op.takenOver };
    });

    await send(app, '/orders', { key: 'k', body });
    await send(app, '/orders', { key: 'k', body });

    expect((await send(app, '/orders', { key: 'k', body })).json).toEqual({ attempt: 3, takenOver: false });
  });

  it('is a key for other services: one per name and key, the same on every attempt', async () => {
    const derived: string[][] = [];
    const app = await set((_body, op) => {
      derived.push([op.deriveKey('charge'), op.deriveKey('mail')]);
      if (derived.length === 1) throw new Error('fails');
    });

    await send(app, '/orders', { key: 'k', body });
    await send(app, '/orders', { key: 'k', body });
    await send(app, '/orders', { key: 'k2', body });

    const [first, second, other] = derived;
    expect(first).toEqual(second);
    for (const key of derived.flat()) expect(key).toMatch(UUID);
    expect(new Set([...(first ?? []), ...(other ?? [])]).size).toBe(4);
  });

  it('aborts its signal when another run has taken over', async () => {
    const clock = new FakeClock();
    const gate = new Gate();
    let signal: AbortSignal | undefined;
    const options = { storage: new MemoryStorage({ clock }) };
    const slow = ordersController(
      async (_body, op) => {
        signal = op.signal;
        await gate.pass();
      },
      // Renewed for the first time after a third of the lease, which this test waits for.
      { lease: '600ms', storageTimeout: '100ms' },
    );
    const app = await start(platform, {
      controllers: [slow],
      options: { ...options, storageTimeout: '100ms' },
    });
    const other = await start(platform, { controllers: [ordersController(() => 'mine now')], options });
    const first = send(app, '/orders', { key: 'k', body });
    await gate.reached();
    expect(signal?.aborted).toBe(false);
    await clock.advance(600);

    expect((await send(other, '/orders', { key: 'k', body })).text).toBe('mine now');

    await new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }));
    expect(String(signal?.reason)).toContain('another request now owns this record');
    gate.open();
    expect((await first).headers.get('idempotency-status')).toBe('superseded');
  });

  it('without a key, where none is required, is an object all the same; only `deriveKey` throws', async () => {
    const caught: unknown[] = [];
    const signals = new Set<AbortSignal>();
    const handler: Handler = (_body, op) => {
      try {
        op.deriveKey('charge');
      } catch (error) {
        caught.push((error as { code: string }).code, (error as Error).message);
      }
      op.setResource('order', 7);
      signals.add(op.signal);
      return {
        key: op.key ?? 'none',
        attempt: op.attempt,
        takenOver: op.takenOver,
        aborted: op.signal.aborted,
      };
    };
    const app = await start(platform, { controllers: [ordersController(handler, { required: false })] });

    const answer = await send(app, '/orders', { body });
    await send(app, '/orders', { body });

    expect(answer.json).toEqual({ key: 'none', attempt: 1, takenOver: false, aborted: false });
    expect(caught[0]).toBe('no-key');
    expect(caught[1]).toMatch(
      /op\.deriveKey\('charge'\) needs the client's key, .* or check `op\.key` first\.$/,
    );
    // One for all would gather every listener that handlers leave on it.
    expect(signals.size).toBe(2);
    expect(app.app.get(IdempotencyService).counters().get('unprotected')).toBe(2);
  });

  it('names the resource it makes, which operators can find', async () => {
    const app = await set((_body, op) => op.setResource('order', 7));
    await send(app, '/orders', { key: 'k', body });
    const service = app.app.get(IdempotencyService);

    const found = [];
    for await (const record of service.find({ resource: { type: 'order', id: '7' } })) found.push(record);
    for await (const record of service.find({ resource: { type: 'order', id: '8' } })) found.push(record);

    expect(found).toEqual([expect.objectContaining({ resource: { type: 'order', id: '7' } })]);
  });

  it.each(['@IdempotencyKey()', '@IdempotentOp()'])(
    '%s on a method without @Idempotent() is an error that says so',
    async (what) => {
      const Decorator = what === '@IdempotencyKey()' ? IdempotencyKey : IdempotentOp;
      @Controller('orders')
      class Orders {
        @Get()
        get(@Decorator() _value: unknown) {
          return 'never';
        }
      }

      await expect(start(platform, { controllers: [Orders] })).rejects.toThrow(
        `${what} on Orders.get has no operation to give, because the method is not decorated with @Idempotent(). Add @Idempotent() to it, or remove the parameter.`,
      );
    },
  );
});
