import { Logger, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { describe, expect, it } from '@jest/globals';
import { IdempotencyService, type IdempotentOptions } from 'nestjs-idempotent';
import { platforms, start } from './support/apps.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { expectProblem, expectReplayOf, send } from './support/requests.js';

const body = { sku: 'A-123' };

/** The user is what the header `x-user` says, as JSON. */
class Authentication implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: unknown }>();
    const said = request.headers['x-user'];
    if (said !== undefined) request.user = JSON.parse(said);
    return true;
  }
}

describe.each(platforms)('whose key it is, on %s', (platform) => {
  const set = async (options: IdempotentOptions = {}) => {
    const handler = countingHandler();
    const logged = { warn: [] as string[], error: [] as string[] };
    const app = await start(platform, {
      controllers: [ordersController(handler, options)],
      providers: [{ provide: APP_GUARD, useClass: Authentication }],
      prepare: () =>
        Logger.overrideLogger({
          log: () => {},
          warn: (line: string) => logged.warn.push(line),
          error: (line: string) => logged.error.push(line),
        }),
    });
    const as = (user: unknown, key = 'k') =>
      send(app, '/orders', { key, body, headers: { 'x-user': JSON.stringify(user) } });
    return { app, handler, logged, as };
  };

  it.each([
    ['`id`', { id: 'a' }, { id: 'b' }],
    ['`id` as a number', { id: 1 }, { id: 2 }],
    ['`sub`', { sub: 'a' }, { sub: 'b' }],
    ['`userId`', { userId: 'a' }, { userId: 'b' }],
    ['the user itself, when it is a text', 'a', 'b'],
  ])('is told by %s: user B with the key of user A gets an answer of his own', async (_what, a, b) => {
    const { handler, as } = await set();

    const first = await as(a);
    const other = await as(b);

    expect([first.json.id, other.json.id]).toEqual(['order-1', 'order-2']);
    expectReplayOf(first, await as(a));
    expectReplayOf(other, await as(b));
    expect(handler.runs).toBe(2);
  });

  it('is everybody’s without a user, which is said once in the log', async () => {
    const { app, logged, as } = await set();

    const first = await send(app, '/orders', { key: 'k', body });
    const second = await send(app, '/orders', { key: 'k', body });
    await send(app, '/orders', { key: 'k2', body });

    expectReplayOf(first, second);
    expect(logged.warn.filter((line) => line.includes('anonymous'))).toHaveLength(1);
    expect(logged.warn[0]).toContain('POST /orders has no user');
    expect((await as({ id: 'anonymous' })).json.id).toBe('order-3');
  });

  it('is `anonymous` without a user', async () => {
    const { as, handler } = await set();

    for (const user of [undefined, null, '', false]) await as(user);

    expect(handler.runs).toBe(1);
  });

  it.each([
    ['no member', {}],
    ['an empty id', { id: '' }],
    ['an id of null', { id: null }],
    ['an object for an id', { id: { hex: 'a' } }],
    ['NaN for an id', { id: NaN }],
    ['a name only', { name: 'a' }],
  ])(
    'is missing for a user with %s: he must not share records with others, so nothing runs',
    async (_what, user) => {
      const { as, handler } = await set();

      const answer = await as(user);

      expect([answer.status, answer.json.code]).toEqual([500, 'scope-missing']);
      expect(handler.runs).toBe(0);
    },
  );

  it.each<[string, NonNullable<IdempotentOptions['scope']>]>([
    ['a text', (context) => context.switchToHttp().getRequest<{ query: { t: string } }>().query.t],
    ['a number', (context) => Number(context.switchToHttp().getRequest<{ query: { t: string } }>().query.t)],
    ['a bigint', (context) => BigInt(context.switchToHttp().getRequest<{ query: { t: string } }>().query.t)],
    ['a promise', async (context) => context.switchToHttp().getRequest<{ query: { t: string } }>().query.t],
  ])('is what a configured `scope` yields: %s', async (_what, scope) => {
    const { app } = await set({ scope });

    const first = await send(app, '/orders?t=1', { key: 'k', body });

    expect((await send(app, '/orders?t=2', { key: 'k', body })).json.id).toBe('order-2');
    expectReplayOf(first, await send(app, '/orders?t=1', { key: 'k', body }));
  });

  it.each<[string, () => unknown]>([
    ['nothing', () => undefined],
    ['null', () => null],
    ['an empty text', () => ''],
    ['an object', () => ({ id: 'a' })],
    ['NaN', () => NaN],
    ['a promise of nothing', async () => undefined],
    [
      'an error',
      () => {
        throw new Error('no tenant here');
      },
    ],
    ['a rejected promise', async () => Promise.reject(new Error('no tenant here'))],
  ])(
    'is unknown when a configured `scope` yields %s: 500, the handler does not run, and the log says why',
    async (_what, scope) => {
      const { app, handler, logged } = await set({ scope });

      expectProblem(await send(app, '/orders', { key: 'k', body }), 500, 'scope-missing');

      expect(handler.runs).toBe(0);
      expect(logged.error).toHaveLength(1);
      expect(logged.error[0]).toContain('POST /orders did not run: `scope`');
    },
  );

  it('does not matter without a key where none is required', async () => {
    const { app, handler } = await set({ required: false, scope: () => undefined });

    expect((await send(app, '/orders', { body })).status).toBe(201);
    expectProblem(await send(app, '/orders', { key: 'k', body }), 500, 'scope-missing');
    expect(handler.runs).toBe(1);
  });

  it('can be named to find the record again', async () => {
    const { app, as } = await set();
    await as({ id: 7 });

    const service = app.app.get(IdempotencyService);
    const id = service.recordId({ operation: 'POST /orders', scope: 7, key: 'k' });

    expect(await service.inspect(id)).toMatchObject({ state: 'completed', status: 201 });
  });
});
