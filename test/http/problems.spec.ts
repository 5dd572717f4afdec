import { Catch, Controller, Logger, Post, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost } from '@nestjs/core';
import { describe, expect, it } from '@jest/globals';
import { Idempotent, IdempotencyException, IdempotencyService } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { platforms, start } from './support/apps.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { expectProblem, retryAfter, send } from './support/requests.js';

const body = { sku: 'A-123' };

describe.each(platforms)('problems on %s', (platform) => {
  it('are RFC 9457 without a page to link to: their type is about:blank', async () => {
    const app = await start(platform, { controllers: [ordersController(countingHandler())] });

    const refused = await send(app, '/orders', { body });

    expectProblem(refused, 400, 'key-missing');
    expect(refused.json).toMatchObject({ type: 'about:blank', title: 'Idempotency key missing' });
    expect(refused.headers.get('link')).toBeNull();
  });

  it('link to the heading of their code on `docsUrl`', async () => {
    const docsUrl = 'https://docs.example.com/errors';
    const app = await start(platform, {
      controllers: [ordersController(countingHandler())],
      options: { docsUrl },
    });

    const refused = await send(app, '/orders', { body });

    expect(refused.json.type).toBe(`${docsUrl}#key-missing`);
    expect(refused.headers.get('link')).toBe(`<${docsUrl}#key-missing>; rel="help"`);
  });

  it('are HttpExceptions: a filter of the app may reshape the body, and the headers stay', async () => {
    @Catch(IdempotencyException)
    class Reshaping implements ExceptionFilter {
      constructor(private readonly host: HttpAdapterHost) {}
      catch(exception: IdempotencyException, host: ArgumentsHost): void {
        const response = host.switchToHttp().getResponse<unknown>();
        this.host.httpAdapter.reply(response, { error: exception.code }, exception.getStatus());
      }
    }
    const gate = new Gate();
    const app = await start(platform, {
      controllers: [ordersController(() => gate.pass())],
      providers: [
        {
          provide: APP_FILTER,
          useFactory: (host: HttpAdapterHost) => new Reshaping(host),
          inject: [HttpAdapterHost],
        },
      ],
      options: { docsUrl: 'https://docs.example.com/errors' },
    });
    const first = send(app, '/orders', { key: 'k', body });
    await gate.reached();

    const refused = await send(app, '/orders', { key: 'k', body });

    expect({ status: refused.status, json: refused.json }).toEqual({
      status: 409,
      json: { error: 'key-in-progress' },
    });
    expect(retryAfter(refused)).toBeGreaterThanOrEqual(1);
    expect(refused.headers.get('link')).toContain('#key-in-progress');
    gate.open();
    await first;
  });

  it.each([
    ['in a plain route', (): MethodDecorator => () => {}],
    ['in a decorated route, which does not keep them', () => Idempotent()],
  ])('of `IdempotencyService.run()` %s have their headers too', async (_where, decorator) => {
    const gate = new Gate();
    @Controller('import')
    class Import {
      constructor(private readonly idempotency: IdempotencyService) {}
      @Post()
      @decorator()
      async import() {
        const { value } = await this.idempotency.run({ operation: 'import', key: 'nightly' }, () =>
          gate.pass(),
        );
        return { imported: value ?? 'all' };
      }
    }
    const app = await start(platform, { controllers: [Import] });
    const first = send(app, '/import', { key: 'one' });
    await gate.reached();

    const refused = await send(app, '/import', { key: 'two' });

    expectProblem(refused, 409, 'key-in-progress');
    expect(retryAfter(refused)).toBeGreaterThanOrEqual(1);
    gate.open();
    expect((await first).json).toEqual({ imported: 'all' });
    expect((await send(app, '/import', { key: 'two' })).json).toEqual({ imported: 'all' });
  });

  it('of ours are not logged as errors of the app, and say nothing of the key', async () => {
    const lines: string[] = [];
    const add = (...parts: unknown[]) => void lines.push(parts.map(String).join(' '));
    const app = await start(platform, {
      controllers: [ordersController(countingHandler())],
      prepare: () => Logger.overrideLogger({ log: add, warn: add, error: add, debug: add, verbose: add }),
    });

    await send(app, '/orders', { key: '"half-of-a-secret', body });

    expect(lines.join('\n')).not.toContain('secret');
    expect(lines.filter((line) => line.includes('IdempotencyException'))).toEqual([]);
  });
});
