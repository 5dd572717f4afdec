import { Body, Controller, Param, Post } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { bodyKey, headerKey, Idempotent, paramKey, type IdempotentOptions } from 'nestjs-idempotent';
import { platforms, start } from './support/apps.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, send, sendRaw } from './support/requests.js';

const body = { sku: 'A-123' };
const UUID = '0b0d8e0e-6d0c-4a39-9a53-1d2f0a7b6c11';

describe.each(platforms)('keys on %s', (platform) => {
  const orders = async (options: IdempotentOptions = {}) => {
    const handler = countingHandler();
    return { handler, app: await start(platform, { controllers: [ordersController(handler, options)] }) };
  };

  it('are needed: without one the request is refused with 400 key-missing, and the handler does not run', async () => {
    const { app, handler } = await orders();

    const refused = await send(app, '/orders', { body });

    expectProblem(refused, 400, 'key-missing');
    expect(refused.json.detail).toContain('POST /orders needs an Idempotency-Key header');
    expect(handler.runs).toBe(0);
  });

  it('are not needed with `required: false`: every request runs, and one with a key is replayed', async () => {
    const { app, handler } = await orders({ required: false });

    await send(app, '/orders', { body });
    await send(app, '/orders', { body });
    const first = await send(app, '/orders', { key: 'k', body });

    expectReplayOf(first, await send(app, '/orders', { key: 'k', body }));
    expect(handler.runs).toBe(3);
  });

  it.each([
    ['an empty one', ''],
    ['an empty one in quotes', '""'],
    ['blank', '   '],
    ['a blank one in quotes', '"  "'],
    ['256 bytes', 'x'.repeat(256)],
    ['a control character', 'a\tb'],
    ['UTF-8', Buffer.from('clé').toString('latin1')],
    ['half a quoted string', '"K'],
    ['text after a quoted string', '"K" x'],
    ['a quoted string with an unknown escape', '"a\\b"'],
  ])('that are %s are refused with 400 key-malformed', async (_what, key) => {
    const { app, handler } = await orders({ required: false });

    const text = await sendRaw(app, ['POST /orders HTTP/1.1', `Idempotency-Key: ${key}`]);

    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain('"code":"key-malformed"');
    expect(handler.runs).toBe(0);
  });

  it('that come twice on the wire are refused, also when both are equal', async () => {
    const { app, handler } = await orders();

    const text = await sendRaw(app, ['POST /orders HTTP/1.1', 'Idempotency-Key: K', 'idempotency-key: K']);

    expect(text).toContain('"code":"key-malformed"');
    expect(text).toContain('sent more than once');
    expect(handler.runs).toBe(0);
  });

  it('are up to 255 bytes long', async () => {
    const { app } = await orders();

    expect((await send(app, '/orders', { key: 'x'.repeat(255), body })).status).toBe(201);
  });

  it('are the same as an RFC 8941 String and as a bare value', async () => {
    const { app } = await orders();

    const first = await send(app, '/orders', { key: 'K', body });
    const quoted = await send(app, '/orders', { key: '"a \\"b\\" \\\\c"', body });

    expectReplayOf(first, await send(app, '/orders', { key: '"K"', body }));
    expectReplayOf(quoted, await send(app, '/orders', { key: 'a "b" \\c', body }));
  });

  it('are found where a platform has its headers only by name', async () => {
    const handler = countingHandler();
    const app = await start(platform, {
      controllers: [ordersController(handler)],
      prepare: (nest) =>
        void nest.use((request: IncomingMessage, _response: unknown, next: () => void) => {
          // Node reads them from there, once.
          expect(request.headers['idempotency-key']).toBe('k');
          request.rawHeaders = [];
          next();
        }),
    });

    expectReplayOf(
      await send(app, '/orders', { key: 'k', body }),
      await send(app, '/orders', { key: 'k', body }),
    );
  });

  it('differ by case', async () => {
    const { app, handler } = await orders();

    await send(app, '/orders', { key: 'Key', body });
    await send(app, '/orders', { key: 'KEY', body });

    expect(handler.runs).toBe(2);
  });

  it('may be asked for in another header, which the refusal names', async () => {
    const { app } = await orders({ key: headerKey('X-Request-Key') });

    const first = await send(app, '/orders', { headers: { 'x-request-key': 'k' }, body });

    expectReplayOf(first, await send(app, '/orders', { headers: { 'X-Request-Key': 'k' }, body }));
    expect((await send(app, '/orders', { key: 'k', body })).json.detail).toContain('X-Request-Key');
  });

  it('may be a member of the body, however deep; a number is one, an object is not', async () => {
    const { app } = await orders({ key: bodyKey('meta.id'), fingerprint: { exclude: ['note'] } });

    const first = await send(app, '/orders', { body: { meta: { id: 7 }, note: 'first' } });

    expectReplayOf(
      first,
      await send(app, '/orders', { body: { meta: { id: '7' }, note: 'second' } }).then(async (asText) => {
        // The number and the text name the same key; the bodies differ, so it is refused and not run.
        expectProblem(asText, 422, 'key-reused');
        return send(app, '/orders', { body: { meta: { id: 7 }, note: 'second' } });
      }),
    );
    expectProblem(await send(app, '/orders', { body: { meta: { id: {} } } }), 400, 'key-malformed');
    expectProblem(await send(app, '/orders', { body: { meta: { id: '' } } }), 400, 'key-malformed');
    expectProblem(await send(app, '/orders', { body: { meta: null } }), 400, 'key-missing');
    expectProblem(await send(app, '/orders', { body: { 'meta.id': 'k' } }), 400, 'key-missing');
  });

  it('may be a parameter of the route', async () => {
    let runs = 0;
    @Controller('orders')
    class OrdersController {
      @Post(':orderId/payments')
      @Idempotent({ key: paramKey('orderId') })
      pay(@Param('orderId') id: string) {
        return { id, runs: (runs += 1) };
      }
    }
    const app = await start(platform, { controllers: [OrdersController] });

    const first = await send(app, '/orders/7/payments');

    expectReplayOf(first, await send(app, '/orders/7/payments'));
    expect((await send(app, '/orders/8/payments')).json).toEqual({ id: '8', runs: 2 });
  });

  it('may be found by a function, also by one that has to wait', async () => {
    const { app } = await orders({
      key: async (context) => context.switchToHttp().getRequest<{ query: { k?: string } }>().query.k,
    });

    const first = await send(app, '/orders?k=1', { body });

    expectReplayOf(first, await send(app, '/orders?k=1', { body }));
    expectProblem(await send(app, '/orders', { body }), 400, 'key-missing');
  });

  it('are looked for in a list of places, and the first that is there counts, even when it is malformed', async () => {
    const { app } = await orders({ key: [headerKey('Idempotency-Key'), bodyKey('id')] });

    const first = await send(app, '/orders', { body: { id: 'k' } });

    expectReplayOf(first, await send(app, '/orders', { key: 'k', body: { id: 'k' } }));
    expect((await send(app, '/orders', { key: 'other', body: { id: 'k' } })).json).toEqual({ id: 'order-2' });
    expectProblem(await send(app, '/orders', { key: '"half', body: { id: 'k' } }), 400, 'key-malformed');
    const refused = await send(app, '/orders', { body: {} });
    expect(refused.json.detail).toContain('an Idempotency-Key header or the member `id` of the body');
  });

  it.each<[string, IdempotentOptions['keyFormat'], string[], string[]]>([
    ['uuid', 'uuid', [UUID, UUID.toUpperCase()], ['k', `${UUID}0`, '12345678901234567890']],
    ['strong', 'strong', [UUID, 'a-long-enough-key'], ['short', '1234567890123456', '2026-01-01 00:00:00']],
    ['a RegExp', /^order-\d+$/, ['order-1'], ['order-', 'x order-1']],
    ['a RegExp with the g flag', /order-\d+/g, ['order-1', 'order-2', 'order-3'], ['order']],
    ['a function', (key) => key.endsWith('!'), ['k!'], ['k']],
  ])('may have to look like %s', async (_name, keyFormat, good, bad) => {
    const { app } = await orders({ keyFormat });

    for (const key of [...good, ...good])
      expect((await send(app, '/orders', { key, body })).status).toBe(201);
    for (const key of bad) expectProblem(await send(app, '/orders', { key, body }), 400, 'key-malformed');
  });

  it('that are `strong` are not the name of the user', async () => {
    const user = 'a-user-with-a-long-name';
    const { app } = await orders({ keyFormat: 'strong', scope: () => user });

    expectProblem(await send(app, '/orders', { key: user, body }), 400, 'key-malformed');
    expect((await send(app, '/orders', { key: `${user}-1`, body })).status).toBe(201);
  });

  it('are another record on another route', async () => {
    @Controller()
    class TwoRoutes {
      @Post('orders')
      @Idempotent()
      order() {
        return 'order';
      }
      @Post('refunds')
      @Idempotent()
      refund(@Body() _body: unknown) {
        return 'refund';
      }
    }
    const app = await start(platform, { controllers: [TwoRoutes] });

    await send(app, '/orders', { key: 'k', body });

    expect((await send(app, '/refunds', { key: 'k', body })).text).toBe('refund');
  });

  it('and scopes with separators in them never meet', async () => {
    const handler = countingHandler();
    const scope: IdempotentOptions['scope'] = (context) =>
      context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-user'];
    const app = await start(platform, { controllers: [ordersController(handler, { scope })] });
    const pairs = [
      ['a', 'b|c'],
      ['a|b', 'c'],
      ['a:b', 'c'],
      ['a', 'b:c'],
      ['a|key:b', 'c'],
      ['a', 'key:b|c'],
      ['1:a', 'k'],
      ['a', '1:k'],
    ] as const;

    for (const [user, key] of pairs) await send(app, '/orders', { key, body, headers: { 'x-user': user } });

    expect(handler.runs).toBe(pairs.length);
  });
});
