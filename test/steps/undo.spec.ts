import {
  Catch,
  ConflictException,
  Controller,
  HttpException,
  Logger,
  Post,
  Res,
  UseFilters,
  UseInterceptors,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Idempotent,
  IdempotencyService,
  IdempotentOp,
  IdempotentOperation,
  memoryStorage,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { faultyStorage, FakeClock, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { concatMap, defer, of, race, throwError } from 'rxjs';
import { around } from '../http/responses/around.js';
import { platforms, start } from '../http/support/apps.js';
import { crashedRun } from '../http/support/crashed-run.js';
import { eventually } from '../http/support/eventually.js';
import { ordersController, type Handler } from '../http/support/orders.controller.js';
import { expectProblem, expectReplayOf, retryAfter, send } from '../http/support/requests.js';

const body = { sku: 'A-123' };

/** Steps a, b and c, each with an undo that writes to the log. */
async function threeSteps(op: IdempotentOperation, log: string[], at: (name: string) => unknown = () => {}) {
  for (const name of ['a', 'b', 'c']) {
    const does = () => {
      log.push(name);
      return { name, attempt: op.attempt };
    };
    const undo = async (made: { name: string; attempt: number }) => {
      await at(made.name);
      log.push(`undo ${made.name} of ${made.attempt}`);
    };
    await op.step(name, does, { undo });
  }
}

const UNDONE = ['undo c of 1', 'undo b of 1', 'undo a of 1'];

@Catch(ConflictException)
class Reshaping implements ExceptionFilter {
  catch(error: ConflictException, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<{
      status(code: number): { header(name: string, value: string): { send(body: unknown): void } };
    }>();
    response.status(410).header('X-Why', 'limit').send({ reshaped: error.message });
  }
}

afterEach(() => Logger.overrideLogger(false));

describe.each(platforms)('`undo`, on %s', (platform) => {
  const app = (handler: Handler, options: IdempotentOptions = {}, storage = memoryStorage()) =>
    start(platform, { controllers: [ordersController(handler, options)], options: { storage } });

  it('takes back every step when the handler ends in a final error, before that is recorded', async () => {
    const log: string[] = [];
    const orders = await app(async (_body, op) => {
      await threeSteps(op, log);
      throw new ConflictException('too late');
    });

    const refused = await send(orders, '/orders', { key: 'k', body });

    expect([refused.status, refused.json.message]).toEqual([409, 'too late']);
    expect(log).toEqual(['a', 'b', 'c', ...UNDONE]);
    expectReplayOf(refused, await send(orders, '/orders', { key: 'k', body }));
    expect(log).toHaveLength(6);
  });

  it.each<[string, IdempotentOptions, () => unknown]>([
    ['throws what may be tried again', {}, () => Promise.reject(new HttpException('slow down', 429))],
    ['throws what is unexpected', {}, () => Promise.reject(new Error('a bug'))],
    [
      'throws what `record` does not keep',
      { record: () => 'release' },
      () => Promise.reject(new ConflictException()),
    ],
    ['returns', {}, () => 'well'],
  ])('takes back nothing when the handler %s', async (_what, options, end) => {
    const log: string[] = [];
    const orders = await app(async (_body, op) => {
      await threeSteps(op, log);
      return end();
    }, options);

    await send(orders, '/orders', { key: 'k', body });
    await send(orders, '/orders', { key: 'k', body });

    expect(log).toEqual(['a', 'b', 'c']);
  });

  it('takes back what `record` keeps, whatever that is', async () => {
    const log: string[] = [];
    const orders = await app(
      async (_body, op) => {
        await threeSteps(op, log);
        throw new Error('a bug');
      },
      { record: () => 'keep' },
    );

    const first = await send(orders, '/orders', { key: 'k', body });

    expect(first.status).toBe(500);
    expect(log.slice(3)).toEqual(UNDONE);
    expectReplayOf(first, await send(orders, '/orders', { key: 'k', body }));
  });

  it('that fails is tried again, then the client gets 503, and a retry goes on with it and gets the final error', async () => {
    const log: string[] = [];
    let away = true;
    const orders = await app(async (_body, op) => {
      await threeSteps(op, log, (name) => {
        if (name === 'b' && away) throw new Error('the warehouse is away');
      });
      if (op.attempt === 1) throw new ConflictException('too late');
      return 'the rerun would succeed';
    });
    const service = orders.app.get(IdempotencyService);
    const events: unknown[] = [];
    service.events$.subscribe(({ type, error }) => type === 'undo-failed' && events.push(String(error)));

    const failed = await send(orders, '/orders', { key: 'k', body });

    expectProblem(failed, 503, 'undo-failed');
    expect(retryAfter(failed)).toBe(1);
    expect(events).toEqual(['Error: `b` could not be undone: the warehouse is away']);
    const id = service.recordId({ operation: 'POST /orders', key: 'k' });
    expect(await service.inspect(id)).toMatchObject({
      state: 'in_progress',
      running: false,
      undoing: true,
      steps: ['a', 'b', 'c'],
      undone: ['c'],
    });
    away = false;
    const second = await send(orders, '/orders', { key: 'k', body });
    expect([second.status, second.json.message]).toEqual([409, 'too late']);
    expect(log).toEqual(['a', 'b', 'c', ...UNDONE]);
    expectReplayOf(second, await send(orders, '/orders', { key: 'k', body }));
  }, 15_000);

  it('goes on after a crash between two of them, and the final error is answered as filters make it', async () => {
    const log: string[] = [];
    @Controller('orders')
    class Orders {
      @Post()
      @UseFilters(Reshaping)
      // What an attempt has decided stays decided.
      @Idempotent({ record: () => 'release', recover: () => void log.push('recover') })
      async create(@IdempotentOp() op: IdempotentOperation) {
        await threeSteps(op, log);
        return op.step('approve', () => 'the rerun would succeed');
      }
    }
    const { storage, wake } = await crashedRun(platform, {}, undefined, async (op, gate) => {
      await threeSteps(op, log, (name) => (name === 'b' ? gate.pass() : undefined));
      throw new ConflictException('too late');
    });
    expect(log).toEqual(['a', 'b', 'c', 'undo c of 1']);
    const survivor = await start(platform, { controllers: [Orders], options: { storage } });

    const answer = await send(survivor, '/orders', { key: 'k', body });

    expect([answer.status, answer.json]).toEqual([410, { reshaped: 'too late' }]);
    expect(answer.headers.get('x-why')).toBe('limit');
    expect(log).toEqual(['a', 'b', 'c', ...UNDONE]);
    expectReplayOf(answer, await send(survivor, '/orders', { key: 'k', body }));
    await wake();
  });

  it('of everything done, the handler does not run again: the final error is sent', async () => {
    const log: string[] = [];
    const clock = new FakeClock();
    const storage = faultyStorage(new MemoryStorage({ clock }));
    const handler: Handler = async (_body, op) => {
      await threeSteps(op, log);
      log.push(`end ${op.attempt}`);
      throw new ConflictException('too late');
    };
    const dead = await app(handler, {}, storage);
    const gate = storage.holdCall('complete');
    const first = send(dead, '/orders', { key: 'k', body });
    await gate.reached();
    await clock.advance(30_000);
    const survivor = await app(handler, {}, storage);

    const answer = await send(survivor, '/orders', { key: 'k', body });

    expect([answer.status, answer.json.message]).toEqual([409, 'too late']);
    expect(log).toEqual(['a', 'b', 'c', 'end 1', ...UNDONE]);
    gate.open();
    await first;
  });

  it('is not forgotten for an interceptor inside that answers a retry in the place of the handler', async () => {
    const log: string[] = [];
    let away = true;
    const cached = around((next) => (away && log.length > 4 ? of('from a cache') : next.handle()));
    @Controller('orders')
    class Orders {
      @Post()
      @UseInterceptors(cached)
      @Idempotent()
      async create(@IdempotentOp() op: IdempotentOperation) {
        await threeSteps(op, log, (name) => {
          if (name === 'b' && away) throw new Error('away');
        });
        throw new ConflictException('too late');
      }
    }
    const orders = await start(platform, { controllers: [Orders] });
    expectProblem(await send(orders, '/orders', { key: 'k', body }), 503, 'undo-failed');
    log.push('cached');

    expect((await send(orders, '/orders', { key: 'k', body })).text).toBe('from a cache');
    away = false;

    expect((await send(orders, '/orders', { key: 'k', body })).status).toBe(409);
    expect(log).toEqual(['a', 'b', 'c', 'undo c of 1', 'cached', 'undo b of 1', 'undo a of 1']);
  }, 15_000);

  it('is left to a retry when the handler throws before it comes to a step that an earlier attempt has done', async () => {
    const log: string[] = [];
    const lines: string[] = [];
    const orders = await app(async (_body, op) => {
      if (op.attempt === 2) throw new ConflictException('not this time');
      await threeSteps(op, log);
      if (op.attempt === 1) throw new Error('a bug');
      return 'done';
    });
    Logger.overrideLogger({ log: () => {}, warn: () => {}, error: (line: string) => void lines.push(line) });

    await send(orders, '/orders', { key: 'k', body });
    const second = await send(orders, '/orders', { key: 'k', body });

    expectProblem(second, 503, 'undo-failed');
    expect(lines.map(String)).toContainEqual(
      expect.stringMatching(/could not be undone.*before it came to `c`, `b`, `a`/),
    );
    expect((await send(orders, '/orders', { key: 'k', body })).text).toBe('done');
    expect(log).toEqual(['a', 'b', 'c']);
  });

  it('happens before the late outcome is kept of a handler that something else has answered for', async () => {
    const log: string[] = [];
    const gate = new Gate();
    const impatient = around((next, context) => {
      const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, unknown> }>();
      if (headers['x-impatient'] === undefined) return next.handle();
      const early = throwError(() => new HttpException('too slow', 408));
      return race(next.handle(), defer(() => gate.reached()).pipe(concatMap(() => early)));
    });
    @Controller('orders')
    class Orders {
      @Post()
      @UseInterceptors(impatient)
      @Idempotent()
      async create(@IdempotentOp() op: IdempotentOperation) {
        await threeSteps(op, log);
        await gate.pass();
        throw new ConflictException('too late');
      }
    }
    const orders = await start(platform, { controllers: [Orders] });

    const headers = { 'x-impatient': 'yes' };
    expect((await send(orders, '/orders', { key: 'k', body, headers })).status).toBe(408);
    expect(log).toEqual(['a', 'b', 'c']);
    gate.open();

    await eventually(async () => {
      const late = await send(orders, '/orders', { key: 'k', body });
      expect([late.status, late.json.message]).toEqual([409, 'too late']);
    });
    expect(log).toEqual(['a', 'b', 'c', ...UNDONE]);
  });

  it('of a handler that answers by itself ends in the final error too, with one more retry', async () => {
    const log: string[] = [];
    @Controller('orders')
    class Orders {
      @Post()
      @Idempotent()
      async create(@IdempotentOp() op: IdempotentOperation, @Res() response: { send(body: unknown): void }) {
        await threeSteps(op, log);
        response.send('the rerun would succeed');
      }
    }
    const { storage, wake } = await crashedRun(platform, {}, undefined, async (op, gate) => {
      await threeSteps(op, log, (name) => (name === 'b' ? gate.pass() : undefined));
      throw new ConflictException('too late');
    });
    const survivor = await start(platform, { controllers: [Orders], options: { storage } });

    expectProblem(await send(survivor, '/orders', { key: 'k', body }), 503, 'undo-failed');
    const answer = await send(survivor, '/orders', { key: 'k', body });

    expect([answer.status, answer.json.message]).toEqual([409, 'too late']);
    expect(log).toEqual(['a', 'b', 'c', ...UNDONE]);
    await wake();
  });

  it('waits for an operator under `onAbandoned: refuse`, and goes on after `rerun`', async () => {
    const log: string[] = [];
    const handler: Handler = async (_body, op) => threeSteps(op, log);
    const crashed = await crashedRun(platform, { onAbandoned: 'refuse' }, handler, async (op, gate) => {
      await threeSteps(op, log, (name) => (name === 'b' ? gate.pass() : undefined));
      throw new ConflictException('too late');
    });
    const retry = () => send(crashed.app, '/orders', { key: 'k', body });

    expectProblem(await retry(), 409, 'outcome-unknown');
    await crashed.service.resolve(crashed.id, 'rerun');
    const answer = await retry();

    expect([answer.status, answer.json.message]).toEqual([409, 'too late']);
    expect(log).toEqual(['a', 'b', 'c', ...UNDONE]);
    await crashed.wake();
  });

  it('ends where an operator resolves the record: the log names what is not undone', async () => {
    const log: string[] = [];
    const lines: string[] = [];
    const handler: Handler = async (_body, op) => threeSteps(op, log);
    const {
      app: survivor,
      service,
      id,
      wake,
    } = await crashedRun(platform, {}, handler, async (op, gate) => {
      await threeSteps(op, log, (name) => (name === 'b' ? gate.pass() : undefined));
      throw new ConflictException('too late');
    });
    Logger.overrideLogger({ log: () => {}, error: () => {}, warn: (line: string) => void lines.push(line) });

    await service.resolve(id, { status: 409, body: { by: 'operator' } });

    const answer = await send(survivor, '/orders', { key: 'k', body });
    expect([answer.status, answer.json]).toEqual([409, { by: 'operator' }]);
    expect(lines.join()).toMatch(/resolved by hand while its steps `a`, `b` were not undone/);
    await wake();
  });
});
