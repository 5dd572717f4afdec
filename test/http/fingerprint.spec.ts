import { Body, Controller, Param, Put } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { Idempotent, type IdempotentOptions } from 'nestjs-idempotent';
import { platforms, start, type AppOptions } from './support/apps.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, send, type Sending } from './support/requests.js';

const digest = (body: string | Uint8Array) => ({
  'Content-Digest': `sha-256=:${createHash('sha256').update(body).digest('base64')}:`,
});

describe.each(platforms)('whether it is the same request, on %s', (platform) => {
  const set = async (options: IdempotentOptions = {}, prepare?: AppOptions['prepare']) => {
    const handler = countingHandler();
    const app = await start(platform, {
      controllers: [ordersController(handler, options)],
      ...(prepare ? { prepare } : {}),
    });
    return { handler, post: (path: string, sending: Sending) => send(app, path, { key: 'k', ...sending }) };
  };

  it('is told by the query: ?amount=1 is not ?amount=100', async () => {
    const { post, handler } = await set();

    await post('/orders?amount=1', { body: {} });

    expectProblem(await post('/orders?amount=100', { body: {} }), 422, 'key-reused');
    expectProblem(await post('/orders', { body: {} }), 422, 'key-reused');
    expect(handler.runs).toBe(1);
  });

  it('is not told by the order of the query, but by that of values of one name', async () => {
    const { post } = await set();

    const first = await post('/orders?a=1&b=2&a=3', { body: {} });

    expectReplayOf(first, await post('/orders?b=2&a=1&a=3', { body: {} }));
    expectProblem(await post('/orders?b=2&a=3&a=1', { body: {} }), 422, 'key-reused');
  });

  it('is not told by the order of members, but by that of items, and by types', async () => {
    const { post } = await set();

    const first = await post('/orders', { body: { a: 1, b: { c: [1, 2], d: null } } });

    expectReplayOf(first, await post('/orders', { body: { b: { d: null, c: [1, 2] }, a: 1 } }));
    for (const body of [
      { a: '1', b: { c: [1, 2], d: null } },
      { a: 1, b: { c: [2, 1], d: null } },
      { a: 1, b: { c: [1, 2] } },
      { a: 1, b: { c: [1, 2], d: null }, e: 0 },
      [],
      {},
    ]) {
      expectProblem(await post('/orders', { body }), 422, 'key-reused');
    }
  });

  it('is not told by headers or white space', async () => {
    const { post } = await set();
    const headers = { 'Content-Type': 'application/json' };

    const first = await post('/orders', { body: '{"a":1}', headers });

    expectReplayOf(
      first,
      await post('/orders', { body: ' { "a" : 1 } ', headers: { ...headers, 'X-Trace': 't' } }),
    );
  });

  it('is told by the values of the route’s parameters', async () => {
    const handler = countingHandler();
    @Controller('orders')
    class OrdersController {
      @Put(':id')
      @Idempotent()
      replace(@Param('id') _id: string, @Body() _body: unknown) {
        return handler();
      }
    }
    const app = await start(platform, { controllers: [OrdersController] });

    await send(app, '/orders/1', { method: 'PUT', key: 'k', body: {} });

    expectProblem(await send(app, '/orders/2', { method: 'PUT', key: 'k', body: {} }), 422, 'key-reused');
  });

  it('may be told by some members of the body alone', async () => {
    const { post } = await set({ fingerprint: { include: ['amount', 'to.account'] } });

    const first = await post('/orders', { body: { amount: 1, to: { account: 'a', note: 'x' }, at: 1 } });

    expectReplayOf(
      first,
      await post('/orders', { body: { amount: 1, to: { account: 'a', note: 'y' }, at: 2 } }),
    );
    expectProblem(await post('/orders', { body: { amount: 1, to: { account: 'b' } } }), 422, 'key-reused');
    expectProblem(await post('/orders', { body: { amount: 2, to: { account: 'a' } } }), 422, 'key-reused');
    expectProblem(await post('/orders', { body: { 'to.account': 'a', amount: 1 } }), 422, 'key-reused');
  });

  it('may be told by all members but some', async () => {
    const { post } = await set({ fingerprint: { exclude: ['sentAt', 'meta.attempt'] } });

    const first = await post('/orders', { body: { amount: 1, sentAt: 1, meta: { attempt: 1, id: 'a' } } });

    expectReplayOf(
      first,
      await post('/orders', { body: { amount: 1, meta: { attempt: 2, id: 'a' }, sentAt: 2 } }),
    );
    expectProblem(await post('/orders', { body: { amount: 1, meta: { id: 'b' } } }), 422, 'key-reused');
  });

  it('may be told by a function, also by one that has to wait', async () => {
    const { post } = await set({
      fingerprint: async (context) =>
        context.switchToHttp().getRequest<{ body: { amount: number } }>().body.amount,
    });

    const first = await post('/orders?x=1', { body: { amount: 1, at: 1 } });

    expectReplayOf(first, await post('/orders?x=2', { body: { amount: 1, at: 2 } }));
    expectProblem(await post('/orders', { body: { amount: 2 } }), 422, 'key-reused');
  });

  it('is not asked with `fingerprint: false`', async () => {
    const { post } = await set({ fingerprint: false });

    const first = await post('/orders', { body: { amount: 1 } });

    expectReplayOf(first, await post('/orders?x=1', { body: { amount: 2 } }));
  });

  it('is the same for form fields in another order', async () => {
    const { post } = await set();
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };

    const first = await post('/orders', { body: 'a=1&b=2', headers });

    expectReplayOf(first, await post('/orders', { body: 'b=2&a=1', headers }));
    expectProblem(await post('/orders', { body: 'a=2&b=2', headers }), 422, 'key-reused');
  });

  it('cannot be told of a body that nobody has read: 400 without a Content-Digest, told by it with one', async () => {
    const leaveUnread: AppOptions['prepare'] = (app) => {
      if (platform !== 'fastify') return;
      const { instance } = (app as NestFastifyApplication).getHttpAdapter() as unknown as {
        instance: {
          removeAllContentTypeParsers(): void;
          addContentTypeParser(
            type: string,
            parser: (request: unknown, payload: unknown, done: (error: null) => void) => void,
          ): void;
        };
      };
      for (const type of ['text/x-log', 'application/octet-stream', 'multipart/related']) {
        instance.addContentTypeParser(type, (_request, _payload, done) => done(null));
      }
    };
    for (const type of ['text/x-log', 'application/octet-stream', 'multipart/related; boundary=x']) {
      const { post, handler } = await set({}, leaveUnread);
      const headers = { 'Content-Type': type };

      const refused = await post('/orders', { body: 'one', headers });

      expectProblem(refused, 400, 'fingerprint-unavailable');
      expect(refused.json.detail).toContain('Content-Digest');
      expect(handler.runs).toBe(0);
      const first = await post('/orders', { body: 'one', headers: { ...headers, ...digest('one') } });
      expect(first.status).toBe(201);
      expectReplayOf(
        first,
        await post('/orders', { body: 'one', headers: { ...headers, ...digest('one') } }),
      );
      expectProblem(
        await post('/orders', { body: 'two', headers: { ...headers, ...digest('two') } }),
        422,
        'key-reused',
      );
    }
  });

  it('is told of a raw body by its very bytes', async () => {
    const { post } = await set({}, (app) => {
      if (platform === 'express')
        (app as NestExpressApplication).useBodyParser('raw', { type: 'application/x-bin' });
      else
        (app as NestFastifyApplication).useBodyParser('application/x-bin', undefined, ((
          _request: unknown,
          bytes: Buffer,
          done: (error: null, body: Buffer) => void,
        ) => done(null, bytes)) as never);
    });
    const headers = { 'Content-Type': 'application/x-bin' };
    const bytes = Uint8Array.of(0, 255, 128, 10);

    const first = await post('/orders', { body: bytes, headers });

    expect(first.status).toBe(201);
    expectReplayOf(first, await post('/orders', { body: bytes, headers }));
    expectProblem(
      await post('/orders', { body: Uint8Array.of(0, 255, 129, 10), headers }),
      422,
      'key-reused',
    );
  });

  it('cannot be told of very deep JSON, which is 400 and not 500', async () => {
    const { post, handler } = await set();
    const deep = `${'[{"a":'.repeat(3000)}1${'}]'.repeat(3000)}`;

    const refused = await post('/orders', { body: deep, headers: { 'Content-Type': 'application/json' } });

    expectProblem(refused, 400, 'fingerprint-unavailable');
    expect(handler.runs).toBe(0);
  });

  it('is the same without any body', async () => {
    const { post } = await set();

    const first = await post('/orders', {});

    expectReplayOf(first, await post('/orders', {}));
    expectProblem(await post('/orders', { body: { a: 1 } }), 422, 'key-reused');
  });
});
