import {
  Controller,
  Inject,
  Injectable,
  Module,
  Post,
  Scope,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { APP_INTERCEPTOR, REQUEST } from '@nestjs/core';
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from '@jest/globals';
import { Observable } from 'rxjs';
import {
  Idempotent,
  IdempotencyModule,
  IdempotencyService,
  memoryStorage,
  type IdempotencyModuleOptions,
  type IdempotencyStorage,
} from 'nestjs-idempotent';
import { FakeClock, faultyStorage, MemoryStorage } from 'nestjs-idempotent/testing';
import { platforms, start, startWith } from './support/apps.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { expectReplayOf, send } from './support/requests.js';

const body = { sku: 'A-123' };

@Injectable()
class Config {
  readonly storage: IdempotencyStorage = memoryStorage();
  readonly ttl = '2h';

  createIdempotencyOptions(): IdempotencyModuleOptions {
    return { storage: this.storage, ttl: this.ttl };
  }
}

@Module({ providers: [Config], exports: [Config] })
class ConfigModule {}

describe.each(platforms)('IdempotencyModule on %s', (platform) => {
  it.each([
    [
      'useFactory',
      () =>
        IdempotencyModule.forRootAsync({
          imports: [ConfigModule],
          inject: [Config],
          useFactory: async ({ storage, ttl }: Config) => ({ storage, ttl }),
        }),
    ],
    ['useClass', () => IdempotencyModule.forRootAsync({ useClass: Config })],
    ['useExisting', () => IdempotencyModule.forRootAsync({ imports: [ConfigModule], useExisting: Config })],
  ])('takes its options from %s', async (_how, idempotency) => {
    const handler = countingHandler();
    const app = await startWith(platform, {
      imports: [idempotency()],
      controllers: [ordersController(handler)],
    });

    const first = await send(app, '/orders', { key: 'k', body });

    expectReplayOf(first, await send(app, '/orders', { key: 'k', body }));
    const expires = Date.parse(first.headers.get('idempotency-expires') ?? '');
    expect(Math.abs(expires - Date.now() - 7_200_000)).toBeLessThan(5000);
  });

  it('is global: a feature module has the service without importing anything', async () => {
    @Injectable()
    class Feature {
      constructor(readonly idempotency: IdempotencyService) {}
    }
    @Module({ providers: [Feature] })
    class FeatureModule {}
    const { app } = await start(platform, { imports: [FeatureModule] });

    expect(app.get(Feature, { strict: false }).idempotency).toBeInstanceOf(IdempotencyService);
  });

  it('acts once, though its interceptor is bound globally and by each decorator', async () => {
    const storage = faultyStorage(memoryStorage());
    const handler = countingHandler();
    @Controller('twice')
    @Idempotent()
    class Twice {
      @Post()
      @Idempotent()
      create() {
        return handler();
      }
    }
    const app = await start(platform, { controllers: [Twice], options: { storage } });

    const first = await send(app, '/twice', { key: 'k' });
    expect([storage.calls('claim').length, storage.calls('complete').length]).toEqual([1, 1]);
    const replay = await send(app, '/twice', { key: 'k' });

    expectReplayOf(first, replay);
    expect([storage.calls('claim').length, storage.calls('complete').length]).toEqual([2, 1]);
    expect(handler.runs).toBe(1);
  });

  it('needs no global interceptor with `interceptor: decorated`', async () => {
    const storage = faultyStorage(memoryStorage());
    const handler = countingHandler();
    const app = await start(platform, {
      controllers: [ordersController(handler)],
      options: { interceptor: 'decorated', storage },
    });

    const first = await send(app, '/orders', { key: 'k', body });

    expectReplayOf(first, await send(app, '/orders', { key: 'k', body }));
    expect(storage.calls('claim')).toHaveLength(2);
  });

  it('protects request-scoped controllers, each with its own request', async () => {
    let made = 0;
    @Controller({ path: 'scoped', scope: Scope.REQUEST })
    class Scoped {
      private readonly number = (made += 1);
      constructor(@Inject(REQUEST) private readonly request: { headers: Record<string, string> }) {}
      @Post()
      @Idempotent()
      create() {
        return { number: this.number, trace: this.request.headers['x-trace'] };
      }
    }
    const app = await start(platform, { controllers: [Scoped] });

    const first = await send(app, '/scoped', { key: 'k', headers: { 'X-Trace': 'one' } });
    const replay = await send(app, '/scoped', { key: 'k', headers: { 'X-Trace': 'two' } });
    const other = await send(app, '/scoped', { key: 'k2', headers: { 'X-Trace': 'three' } });

    expect(first.json).toMatchObject({ trace: 'one' });
    expectReplayOf(first, replay);
    expect(other.json).toMatchObject({ trace: 'three' });
    expect(other.json.number).toBeGreaterThan(Number(first.json.number));
  });

  it('leaves routes without the decorator alone, also with a key', async () => {
    const handler = countingHandler();
    @Controller('plain')
    class Plain {
      @Post()
      create() {
        return handler();
      }
    }
    const storage = faultyStorage(memoryStorage());
    const app = await start(platform, { controllers: [Plain], options: { storage } });

    await send(app, '/plain', { key: 'k' });
    const second = await send(app, '/plain', { key: 'k' });

    expect(second.json).toEqual({ id: 'order-2' });
    expect(second.headers.get('idempotent-replayed')).toBeNull();
    expect(storage.calls('claim')).toEqual([]);
  });

  it.each<
    [string, (context: AsyncLocalStorage<string>, trace: string, next: CallHandler) => Observable<unknown>]
  >([
    ['calls us', (context, trace, next) => context.run(trace, () => next.handle())],
    [
      'subscribes to us',
      (context, trace, next) =>
        new Observable((subscriber) => {
          context.run(trace, () => next.handle().subscribe(subscriber));
        }),
    ],
  ])(
    'runs handlers and callbacks in the async context in which an outer interceptor %s',
    async (_how, inContext) => {
      const context = new AsyncLocalStorage<string>();
      @Injectable()
      class Outer implements NestInterceptor {
        intercept(execution: ExecutionContext, next: CallHandler) {
          const { headers } = execution.switchToHttp().getRequest<{ headers: Record<string, string> }>();
          return inContext(context, headers['x-trace'] ?? '', next);
        }
      }
      const scopes: unknown[] = [];
      const app = await start(platform, {
        controllers: [ordersController(() => ({ trace: context.getStore() }))],
        providers: [{ provide: APP_INTERCEPTOR, useClass: Outer }],
        options: {
          scope: () => {
            scopes.push(context.getStore());
            return 'user';
          },
        },
      });

      const answer = await send(app, '/orders', { key: 'k', body, headers: { 'X-Trace': 'trace-1' } });

      expect(answer.json).toEqual({ trace: 'trace-1' });
      expect(scopes).toEqual(['trace-1']);
    },
  );

  it('starts and stops its storage with the app', async () => {
    class Connecting extends MemoryStorage {
      async start(): Promise<void> {}
      async stop(): Promise<void> {}
    }
    const storage = faultyStorage(new Connecting({ clock: new FakeClock() }));
    const { app } = await start(platform, { options: { storage } });
    expect([storage.calls('start').length, storage.calls('stop').length]).toEqual([1, 0]);

    await app.close();

    expect([storage.calls('start').length, storage.calls('stop').length]).toEqual([1, 1]);
  });
});
