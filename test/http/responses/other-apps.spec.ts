import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  HttpCode,
  Post,
  Render,
  Scope,
  UseInterceptors,
  ClassSerializerInterceptor,
  type ModuleMetadata,
} from '@nestjs/common';
import { APP_INTERCEPTOR, Reflector } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Exclude } from 'class-transformer';
import type { NextFunction, Request, Response } from 'express';
import { IdempotencyModule, memoryStorage } from 'nestjs-idempotent';
import { Agent } from 'node:http';
import { map } from 'rxjs';
import { platforms, startApp, type Platform, type RunningApp } from '../../support/apps.js';
import { around } from './around.js';
import { expectKept, expectReplayOf } from './compare.js';
import { Once, takeHandlerRuns } from './handler-runs.js';
import { send, type Received } from './http-client.js';

class User {
  readonly id = 1;
  @Exclude() readonly password = 'secret';
}

@Controller({ path: 'scoped', scope: Scope.REQUEST })
class ScopedController {
  private count = 0;

  @Post()
  @Once()
  create() {
    this.count += 1;
    return { count: this.count };
  }
}

@Controller('users')
class UsersController {
  @Post()
  @UseInterceptors(ClassSerializerInterceptor)
  @Once()
  create() {
    return new User();
  }
}

@Controller('pages')
class PagesController {
  @Post()
  @HttpCode(200)
  @Render('kind')
  @Once()
  greet() {
    return { name: 'Änne' };
  }
}

const apps: RunningApp[] = [];
const agent = new Agent();
afterEach(() => Promise.all(apps.splice(0).map((app) => app.close())));

async function start(
  platform: Platform,
  more: Partial<ModuleMetadata> & { decoratedOnly?: boolean },
  prepare?: Parameters<typeof startApp>[2],
): Promise<RunningApp> {
  const { decoratedOnly, ...module } = more;
  const interceptor = decoratedOnly ? 'decorated' : 'global';
  const app = await startApp(
    platform,
    {
      controllers: [ScopedController, UsersController],
      imports: [IdempotencyModule.forRoot({ namespace: 'others', storage: memoryStorage(), interceptor })],
      ...module,
    },
    prepare,
  );
  apps.push(app);
  return app;
}

async function twice({ url }: RunningApp, path: string): Promise<[Received, Received]> {
  takeHandlerRuns();
  const request = { method: 'POST', path, headers: { 'idempotency-key': 'k' } };
  const first = await send(url, agent, request);
  const again = await send(url, agent, request);
  expectKept(first);
  expect(takeHandlerRuns()).toBe(1);
  return [first, again];
}

describe.each(platforms)('on %s', (platform) => {
  it('a controller per request is replayed', async () => {
    const [first, again] = await twice(await start(platform, {}), '/scoped');
    expect(first.body.toString()).toBe('{"count":1}');
    expectReplayOf(first, again);
  });

  it('the interceptor of @Idempotent() alone records what interceptors of the app make of the answer', async () => {
    const app = await start(platform, { decoratedOnly: true }, (nest) => {
      nest.useGlobalInterceptors(
        around((next) => next.handle().pipe(map((data) => ({ data })))),
        new ClassSerializerInterceptor(nest.get(Reflector)),
      );
    });
    const [first, again] = await twice(app, '/users');
    expect(first.body.toString()).toBe('{"data":{"id":1}}');
    expectReplayOf(first, again);
  });

  it('an APP_INTERCEPTOR of another module, after ours, is inside', async () => {
    const envelope = around((next) => next.handle().pipe(map((data) => ({ data }))));
    class LaterModule {}
    Reflect.defineMetadata('providers', [{ provide: APP_INTERCEPTOR, useValue: envelope }], LaterModule);
    const imports = [
      IdempotencyModule.forRoot({ namespace: 'others', storage: memoryStorage() }),
      LaterModule,
    ];
    const [first, again] = await twice(await start(platform, { imports }), '/users');
    expect(first.body.toString()).toBe('{"data":{"id":1}}');
    expectReplayOf(first, again);
  });
});

describe('on express', () => {
  it('a rendered page is replayed, though the template would fail without its data', async () => {
    const app = await start('express', { controllers: [PagesController] }, (nest) => {
      const express = nest as NestExpressApplication;
      // Express wants a file of the template's name; this engine does not look into it.
      express.setBaseViewsDir(import.meta.dirname);
      express.engine(
        'ts',
        (_path: string, data: { name: string }, done: (e: unknown, html?: string) => void) =>
          done(null, `<p>Hello ${data.name.toUpperCase()}</p>`),
      );
      express.setViewEngine('ts');
    });
    const [first, again] = await twice(app, '/pages');
    expect(first.body.toString()).toBe('<p>Hello ÄNNE</p>');
    expectReplayOf(first, again);
  });

  it('headers that a middleware sets for each exchange stay on a replay, unless the answer was recorded with its own', async () => {
    let exchanges = 0;
    const app = await start('express', {}, (nest) => {
      nest.use((_request: Request, response: Response, next: NextFunction) => {
        exchanges += 1;
        response.setHeader('X-Frame-Options', 'DENY');
        response.setHeader('X-Request-Id', `request-${exchanges}`);
        response.setHeader('Set-Cookie', `exchange=${exchanges}`);
        next();
      });
    });
    const [first, again] = await twice(app, '/users');
    expect([again.header('x-frame-options'), again.header('x-request-id')]).toEqual(['DENY', 'request-1']);
    expect([first.header('set-cookie'), again.header('set-cookie')]).toEqual(['exchange=1', 'exchange=2']);
  });
});

describe('on fastify', () => {
  it('hooks of the app see the first answer and the replay alike', async () => {
    const seen: unknown[] = [];
    const app = await start('fastify', {}, (nest) => {
      const instance = (nest as NestFastifyApplication).getHttpAdapter().getInstance();
      instance.addHook('onSend', async (_request, reply, payload) => {
        reply.header('x-before', 'us');
        return payload;
      });
      instance.addHook('onResponse', async (_request, reply) => {
        seen.push(reply.statusCode);
      });
    });
    const [first, again] = await twice(app, '/users');
    expect(first.header('x-before')).toBe('us');
    expectReplayOf(first, again);
    expect(seen).toEqual([201, 201]);
  });
});
