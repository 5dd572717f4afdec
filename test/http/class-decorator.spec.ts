import { All, Controller, Delete, Get, Patch, Post, Put, Query, Sse } from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { of } from 'rxjs';
import {
  Idempotent,
  IdempotencyService,
  IdempotentOp,
  IdempotentOperation,
  paramKey,
  SkipIdempotency,
} from 'nestjs-idempotent';
import { platforms, start, type RunningApp } from './support/apps.js';
import { expectProblem, expectReplayOf, send } from './support/requests.js';

let runs = 0;
const run = (): string => `run ${(runs += 1)}`;

beforeEach(() => {
  runs = 0;
});

/** Sends a request twice with one key: `true` when the second answer is a replay, and the handler ran once. */
async function isProtected(app: RunningApp, method: string, path: string): Promise<boolean> {
  const before = runs;
  const twice = async () => send(app, path, { method, key: `${method} ${path}` });
  const first = await twice();
  expect(first.status).toBeLessThan(300);
  const second = await twice();
  if (runs === before + 2) return false;
  expectReplayOf(first, second);
  expect(runs).toBe(before + 1);
  return true;
}

/** The ttl that a record got, in seconds. */
async function ttlOf(app: RunningApp, operation: string, key: string): Promise<number> {
  const service = app.app.get(IdempotencyService);
  const record = await service.inspect(service.recordId({ operation, key }));
  return Math.round((record?.expiresInMs ?? 0) / 1000);
}

@Controller('things')
@Idempotent('2h')
class Things {
  @Post()
  post() {
    return run();
  }
  @Put(':id')
  put() {
    return run();
  }
  @Patch(':id')
  patch() {
    return run();
  }
  @Delete(':id')
  delete() {
    return run();
  }
  @Get()
  get() {
    return run();
  }
  @Get('report')
  @Idempotent()
  report() {
    return run();
  }
  @Post('search')
  @SkipIdempotency()
  search() {
    return run();
  }
  @Post('hour')
  @Idempotent('1h')
  hour() {
    return run();
  }
  @All('all')
  all(@IdempotentOp() op: IdempotentOperation) {
    return `${run()} with ${op.key}`;
  }
  @Sse('events')
  events() {
    return of({ data: run() });
  }
  helper() {
    return run();
  }
}

describe.each(platforms)('@Idempotent() on a class, on %s', (platform) => {
  it('protects POST, PUT, PATCH and DELETE, and leaves the rest alone', async () => {
    const app = await start(platform, { controllers: [Things] });

    expect(await isProtected(app, 'POST', '/things')).toBe(true);
    expect(await isProtected(app, 'PUT', '/things/1')).toBe(true);
    expect(await isProtected(app, 'PATCH', '/things/1')).toBe(true);
    expect(await isProtected(app, 'DELETE', '/things/1')).toBe(true);
    expect(await isProtected(app, 'GET', '/things')).toBe(false);
    expect((await send(app, '/things/events', { method: 'GET' })).text).toContain('data: run');
    expectProblem(await send(app, '/things'), 400, 'key-missing');
  });

  it('leaves a GET alone unless it is decorated itself', async () => {
    const app = await start(platform, { controllers: [Things] });

    expect(await isProtected(app, 'GET', '/things/report')).toBe(true);
  });

  it('leaves a method with @SkipIdempotency() alone', async () => {
    const app = await start(platform, { controllers: [Things] });

    expect(await isProtected(app, 'POST', '/things/search')).toBe(false);
  });

  it('protects an @All() route where it changes something; elsewhere its operation has no key', async () => {
    const app = await start(platform, { controllers: [Things] });

    expect(await isProtected(app, 'POST', '/things/all')).toBe(true);
    expect(await isProtected(app, 'DELETE', '/things/all')).toBe(true);
    const got = await send(app, '/things/all', { method: 'GET', key: 'k' });
    expect({ status: got.status, text: got.text }).toEqual({ status: 200, text: 'run 3 with undefined' });
  });

  it('gives its options to all its routes; those of a method win', async () => {
    const app = await start(platform, { controllers: [Things], options: { ttl: '3h' } });

    await send(app, '/things', { key: 'k' });
    await send(app, '/things/hour', { key: 'k' });

    expect(await ttlOf(app, 'POST /things', 'k')).toBe(7200);
    expect(await ttlOf(app, 'POST /things/hour', 'k')).toBe(3600);
    expectProblem(await send(app, '/things/hour'), 400, 'key-missing');
  });

  it('protects routes that the class inherits, and leaves the base class as it was', async () => {
    class Base {
      @Post()
      create() {
        return run();
      }
      @Get()
      list() {
        return run();
      }
    }
    @Controller('derived')
    @Idempotent()
    class Derived extends Base {}
    @Controller('plain')
    class Plain extends Base {}
    const app = await start(platform, { controllers: [Derived, Plain] });

    expect(await isProtected(app, 'POST', '/derived')).toBe(true);
    expect(await isProtected(app, 'GET', '/derived')).toBe(false);
    expect(await isProtected(app, 'POST', '/plain')).toBe(false);
  });

  it('on a base class protects the routes of all classes that inherit them', async () => {
    @Idempotent()
    class Base {
      @Post()
      create() {
        return `${this.constructor.name} ${run()}`;
      }
    }
    @Controller('one')
    class One extends Base {}
    @Controller('two')
    class Two extends Base {}
    const app = await start(platform, { controllers: [One, Two] });

    expect(await isProtected(app, 'POST', '/one')).toBe(true);
    expect(await isProtected(app, 'POST', '/two')).toBe(true);
    expect((await send(app, '/two', { key: 'k' })).text).toMatch(/^Two /);
  });

  it('of a derived class wins over that of its base class, and both give way to the method’s own', async () => {
    @Idempotent({ ttl: '1h', required: false })
    class Base {
      @Post()
      create() {
        return run();
      }
      @Post('own/:key')
      @Idempotent({ ttl: '4h', key: paramKey('key') })
      own() {
        return run();
      }
    }
    @Controller('derived')
    // What is undefined is not said.
    @Idempotent({ ttl: '2h', required: undefined })
    class Derived extends Base {}
    const app = await start(platform, { controllers: [Derived] });

    await send(app, '/derived', { key: 'k' });
    await send(app, '/derived/own/k');

    expect(await ttlOf(app, 'POST /derived', 'k')).toBe(7200);
    expect(await ttlOf(app, 'POST /derived/own/:key', 'k')).toBe(14_400);
    expect((await send(app, '/derived')).status).toBe(201);
  });

  it('does not protect what overrides a protected method with a route of its own, undecorated', async () => {
    class Base {
      @Post()
      @Idempotent()
      create() {
        return run();
      }
    }
    @Controller('derived')
    class Derived extends Base {
      @Post()
      override create() {
        return super.create();
      }
    }
    const app = await start(platform, { controllers: [Derived] });

    expect(await isProtected(app, 'POST', '/derived')).toBe(false);
  });

  it('calls other protected methods of the class, and itself, as the plain methods that they are', async () => {
    @Controller('nested')
    @Idempotent()
    class Nested {
      @Post('outer')
      outer() {
        return `outer: ${this.inner()}, ${this.inner()}`;
      }
      @Post('inner')
      inner() {
        return run();
      }
      @Post('countdown')
      countdown(@Query('from') from: string | number): string {
        return Number(from) === 0 ? 'over' : `${from} ${this.countdown(Number(from) - 1)}`;
      }
    }
    const app = await start(platform, { controllers: [Nested] });

    const first = await send(app, '/nested/outer', { key: 'k' });

    expect(first.text).toBe('outer: run 1, run 2');
    expectReplayOf(first, await send(app, '/nested/outer', { key: 'k' }));
    expect((await send(app, '/nested/countdown?from=2', { key: 'k' })).text).toBe('2 1 over');
  });
});
