import { Body, ConflictException, Controller, Post, type Type } from '@nestjs/common';
import { MessagePattern, Payload, RpcException } from '@nestjs/microservices';
import { describe, expect, it } from '@jest/globals';
import {
  bodyKey,
  Idempotent,
  IdempotencyService,
  IdempotentOp,
  IdempotentOperation,
  memoryStorage,
  messageKey,
} from 'nestjs-idempotent';
import { FakeClock, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { start as startHttp } from '../http/support/apps.js';
import { send } from '../http/support/requests.js';
import { job, startService } from '../http/support/services.js';
import { startTcp } from '../transports/support/tcp-app.js';
import { worlds, type Work } from './support/worlds.js';

const threeSteps = async (
  op: IdempotentOperation,
  log: string[],
  at: (name: string) => unknown = () => {},
) => {
  for (const name of ['a', 'b', 'c']) {
    await op.step(name, () => void log.push(name), {
      undo: async () => {
        await at(name);
        log.push(`undo ${name}`);
      },
    });
  }
};

const SOLD_OUT = { code: 'SOLD_OUT' };
const UNDONE = ['undo c', 'undo b', 'undo a'];

describe.each(worlds)('Steps of a handler over $name', ({ start, refusal }) => {
  it('are not done again by the attempt after a throw', async () => {
    const log: string[] = [];
    const { ask: request } = await start(async (op) => {
      await threeSteps(op, log);
      if (op.attempt === 1) throw new Error('a bug');
      return 'done';
    }, memoryStorage());

    await request();
    await request();

    expect(log).toEqual(['a', 'b', 'c']);
  });

  it('are undone for a final refusal, which is what everybody gets', async () => {
    const log: string[] = [];
    const { ask: request } = await start(async (op) => {
      await threeSteps(op, log);
      throw refusal();
    }, memoryStorage());

    expect([await request(), await request()]).toEqual([SOLD_OUT, SOLD_OUT]);
    expect(log).toEqual(['a', 'b', 'c', ...UNDONE]);
  });

  it('that cannot be undone now are `undo-failed`, and a retry goes on with that', async () => {
    const log: string[] = [];
    let away = true;
    const { ask: request } = await start(async (op) => {
      await threeSteps(op, log, (name) => {
        if (name === 'b' && away) throw new Error('away');
      });
      throw refusal();
    }, memoryStorage());

    expect(await request()).toEqual({ code: 'undo-failed' });
    away = false;
    expect(await request()).toEqual(SOLD_OUT);
    expect(log).toEqual(['a', 'b', 'c', ...UNDONE]);
  }, 15_000);

  it('are undone from where a crash has cut it off, and the refusal stands although a rerun would succeed', async () => {
    const log: string[] = [];
    const clock = new FakeClock();
    const storage = new MemoryStorage({ clock });
    const gate = new Gate();
    const dead = await start(async (op) => {
      await threeSteps(op, log, (name) => (name === 'b' ? gate.pass() : undefined));
      throw refusal();
    }, storage);
    const first = dead.ask();
    await gate.reached();
    await clock.advance(30_000);
    const { ask: request } = await start(async (op) => {
      await threeSteps(op, log);
      return 'the rerun would succeed';
    }, storage);

    expect([await request(), await request()]).toEqual([SOLD_OUT, SOLD_OUT]);
    expect(log).toEqual(['a', 'b', 'c', ...UNDONE]);
    gate.open();
    await first;
  });
});

describe('Steps of an operation that a route and a consumer share', () => {
  const shared = (work: Work): Type => {
    const options = {
      operation: 'create order',
      key: [bodyKey('id'), messageKey('id')],
      fingerprint: false,
    } as const;
    @Controller()
    class Orders {
      @Post('orders')
      @Idempotent({ ...options, key: bodyKey('id') })
      route(@Body() _data: unknown, @IdempotentOp() op: IdempotentOperation) {
        return work(op);
      }

      @MessagePattern('orders.create')
      @Idempotent({ ...options, key: messageKey('id') })
      consume(@Payload() _data: unknown, @IdempotentOp() op: IdempotentOperation) {
        return work(op);
      }
    }
    return Orders;
  };

  it.each([
    ['route', 'consumer', () => new ConflictException({ code: 'SOLD_OUT' })],
    ['consumer', 'route', () => new RpcException({ status: 409, code: 'SOLD_OUT' })],
  ])('begun to be undone by the %s are undone by the %s', async (first, _second, refusal) => {
    const log: string[] = [];
    const clock = new FakeClock();
    const options = { storage: new MemoryStorage({ clock }) };
    const gate = new Gate();
    const stuck = shared(async (op) => {
      await threeSteps(op, log, (name) => (name === 'b' ? gate.pass() : undefined));
      throw refusal();
    });
    const well = shared((op) => threeSteps(op, log));
    const route = async (controller: Type) => {
      const app = await startHttp('express', { controllers: [controller], options });
      return () => send(app, '/orders', { body: { id: 'k' } });
    };
    const consume = async (controller: Type) => {
      const app = await startTcp({ controllers: [controller], options });
      return () => app.send('orders.create', { id: 'k' });
    };
    const begun = (await (first === 'route' ? route : consume)(stuck))();
    await gate.reached();
    await clock.advance(30_000);

    if (first === 'route') {
      // An HttpException that no filter of RPC knows.
      expect(await (await consume(well))()).toEqual({
        error: { status: 'error', message: 'Internal server error' },
      });
    } else {
      const answer = await (await route(well))();
      expect([answer.status, answer.json]).toEqual([409, { status: 409, code: 'SOLD_OUT' }]);
    }
    expect(log).toEqual(['a', 'b', 'c', ...UNDONE]);
    gate.open();
    await begun;
  });
});

describe('A job that shares its records with a route', () => {
  const options = { operation: 'create order', fingerprint: () => 'one' } as const;
  const shared = { ...job('k'), operation: 'create order', fingerprint: ['own', 'one'] };
  const route = async (work: Work) => {
    @Controller()
    class Orders {
      @Post('orders')
      @Idempotent(options)
      create(@IdempotentOp() op: IdempotentOperation) {
        return work(op);
      }
    }
    const app = await startHttp('express', { controllers: [Orders] });
    const service = app.app.get(IdempotencyService);
    return { ask: () => send(app, '/orders', { key: 'k' }), service };
  };

  it('goes on with the undos that the route has begun, and says when they are not done', async () => {
    const log: string[] = [];
    let away = true;
    const at = (name: string) => {
      if (name === 'b' && away) throw new Error('away');
    };
    const { ask: request, service } = await route(async (op) => {
      await threeSteps(op, log, at);
      throw new ConflictException('sold out');
    });
    const run = () => service.run(shared, (op) => threeSteps(op, log, at));

    expect((await request()).status).toBe(503);
    await expect(run()).rejects.toMatchObject({ code: 'undo-failed' });
    away = false;
    await expect(run()).rejects.toThrow('sold out');

    expect(log).toEqual(['a', 'b', 'c', ...UNDONE]);
    expect((await request()).status).toBe(409);
  }, 15_000);
});

describe('Steps of a job', () => {
  it('are not done again, and nothing is undone: a job that threw may always run again', async () => {
    const log: string[] = [];
    const service = await startService();
    const work = async (op: IdempotentOperation) => {
      await threeSteps(op, log);
      if (op.attempt === 1) throw new ConflictException();
      return 'done';
    };

    await expect(service.run(job('k'), work)).rejects.toThrow('Conflict');
    expect(await service.run(job('k'), work)).toEqual({ value: 'done', replayed: false });
    expect(log).toEqual(['a', 'b', 'c']);
  });
});
