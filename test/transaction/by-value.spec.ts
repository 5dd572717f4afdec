import { beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, UseInterceptors, type NestInterceptor, type Type } from '@nestjs/common';
import { Mutation, Query, Resolver } from '@nestjs/graphql';
import { MessagePattern, Payload, RpcException } from '@nestjs/microservices';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import {
  headerKey,
  Idempotent,
  IdempotentOp,
  IdempotentOperation,
  IdempotencyService,
  messageKey,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { concat, concatMap, defer, from, map, of, race } from 'rxjs';
import { around } from '../http/responses/around.js';
import { send } from '../http/support/requests.js';
import { eventually, usePostgres } from '../support/postgres-fixture.js';
import { ask, drivers, startGraphql } from '../transports/support/graphql-app.js';
import { startTcp } from '../transports/support/tcp-app.js';
import { socketIo, startWs } from '../transports/support/ws-app.js';
import { transactional, useShop, type Handler, type OpenShop } from './support/shop.js';

const postgres = usePostgres();
const SOMEBODY = '00000000-0000-4000-8000-000000000000';

interface Opened {
  readonly service: IdempotencyService;
  /** What came of it: a value, or the code of a refusal, or `error`. */
  call(key: string): Promise<unknown>;
}

interface Given {
  readonly handler: Handler;
  readonly inside?: NestInterceptor[];
  readonly options?: IdempotentOptions;
}

const OPTIONS = { transactional: true, key: [headerKey('Idempotency-Key'), messageKey('id')] } as const;

const transports: Record<string, (given: Given, module: object) => Promise<Opened>> = {
  GraphQL: async ({ handler, inside = [], options }, module) => {
    @Resolver()
    class Payments {
      @Query(() => String)
      nothing() {
        return '';
      }
      @Mutation(() => String)
      @UseInterceptors(...inside)
      @Idempotent({ ...OPTIONS, ...options })
      pay(@IdempotentOp() op: IdempotentOperation): unknown {
        return handler(op);
      }
    }
    const app = await startGraphql(drivers[0], { providers: [Payments as Type], options: module });
    return {
      service: app.app.get(IdempotencyService),
      async call(key) {
        const { data, errors } = await ask(app, 'mutation { pay }', { key });
        return errors === undefined ? data?.['pay'] : { code: errors[0]?.extensions?.['code'] };
      },
    };
  },
  TCP: async ({ handler, inside = [], options }, module) => {
    @Controller()
    class Payments {
      @MessagePattern('pay')
      @UseInterceptors(...inside)
      @Idempotent({ ...OPTIONS, ...options })
      pay(@Payload() _data: unknown, @IdempotentOp() op: IdempotentOperation): unknown {
        return handler(op);
      }
    }
    const app = await startTcp({ controllers: [Payments], options: module });
    return {
      service: app.app.get(IdempotencyService),
      async call(id) {
        const value = await app.send('pay', { id });
        const { error } = (value ?? {}) as { error?: { code?: unknown } };
        return error === undefined ? value : { code: error.code };
      },
    };
  },
  'a WebSocket': async ({ handler, inside = [], options }, module) => {
    @WebSocketGateway()
    class Payments {
      @SubscribeMessage('pay')
      @UseInterceptors(...inside)
      @Idempotent({ ...OPTIONS, ...options })
      pay(@MessageBody() _data: unknown, @IdempotentOp() op: IdempotentOperation): unknown {
        return handler(op);
      }
    }
    const app = await startWs(socketIo, { providers: [Payments], options: module });
    const peer = await socketIo.connect(app);
    return {
      service: app.app.get(IdempotencyService),
      async call(id) {
        const value = await peer.ask('pay', { id });
        const { exception } = (value ?? {}) as { exception?: { code?: unknown } };
        return exception === undefined ? value : { code: exception.code };
      },
    };
  },
};

describe.each(Object.keys(transports))('a transactional handler over %s', (transport) => {
  const shop = useShop(postgres);
  let runs = 0;
  let gate = new Gate();
  beforeEach(() => {
    runs = 0;
    gate = new Gate();
  });

  const open = async (given: Given) => {
    const storage = typeOrmStorage({ dataSource: shop.dataSource, purgeEvery: false });
    const opened = await transports[transport]!(given, { namespace: 'shop', storage });
    const events: string[] = [];
    opened.service.events$.subscribe(({ type }) => events.push(type));
    const state = async () => {
      for await (const { state, running } of opened.service.find()) {
        return state === 'completed' ? state : running ? 'running' : 'released';
      }
      return 'none';
    };
    return { ...opened, events, state };
  };
  const pay = async (op: IdempotentOperation) => {
    runs += 1;
    await shop.effects.insert({ what: 'debit', attempt: op.attempt });
    await shop.effects.insert({ what: 'credit', attempt: op.attempt });
    return `paid ${op.attempt}`;
  };

  it('commits what it wrote together with its record, before its client hears of it', async () => {
    const app = await open({
      handler: async (op) => (await pay(op), await gate.pass(), `paid ${op.attempt}`),
    });
    const first = app.call('k');
    await gate.reached();
    expect(await shop.committed()).toEqual([]);
    gate.open();

    expect(await first).toBe('paid 1');
    expect(await shop.committed()).toEqual(['debit 1', 'credit 1']);
    expect([await app.call('k'), runs, await app.state()]).toEqual(['paid 1', 1, 'completed']);
  });

  it('that throws leaves nothing behind, and a retry is attempt 2', async () => {
    const app = await open({
      handler: async (op) => {
        const paid = await pay(op);
        if (op.attempt === 1) throw new Error('a bug');
        return paid;
      },
    });
    expect(await app.call('k')).toHaveProperty('code');
    expect([await shop.committed(), await app.state()]).toEqual([[], 'released']);
    expect(await app.call('k')).toBe('paid 2');
    expect(await shop.committed()).toEqual(['debit 2', 'credit 2']);
  });

  it('that refuses for good leaves nothing behind but that refusal', async () => {
    const app = await open({
      handler: async (op) => {
        await pay(op);
        throw new RpcException({ statusCode: 409 });
      },
      options: { record: () => 'keep' },
    });
    await app.call('k');
    await app.call('k');
    expect([runs, await shop.committed(), await app.state()]).toEqual([1, [], 'completed']);
  });

  it('whose commit fails for a takeover is refused with commit-failed', async () => {
    const app = await open({ handler: async (op) => (await pay(op), await gate.pass(), 'paid') });
    const late = app.call('k');
    await gate.reached();
    await shop.outside.query(`update idempotency_records set owner = '${SOMEBODY}'`);
    gate.open();

    expect(await late).toEqual({ code: 'commit-failed' });
    expect(await shop.committed()).toEqual([]);
  });

  it('has what it wrote seen by interceptors inside; one that fails then undoes it', async () => {
    const counts: number[] = [];
    const failing = around((next) =>
      next.handle().pipe(
        concatMap(async (value: unknown) => {
          counts.push(await shop.effects.count());
          if (value === 'paid 1') throw new Error('no such property');
          return value;
        }),
      ),
    );
    const app = await open({ handler: pay, inside: [failing] });

    expect(await app.call('k')).toHaveProperty('code');
    expect([counts, await shop.committed(), await app.state()]).toEqual([[2], [], 'released']);
    expect(await app.call('k')).toBe('paid 2');
    expect(await shop.committed()).toEqual(['debit 2', 'credit 2']);
  });

  it('that is answered early commits nothing, and the retry does both once', async () => {
    let isFirst = true;
    const impatient = around((next) => {
      if (!isFirst) return next.handle();
      isFirst = false;
      return race(next.handle(), defer(() => gate.reached()).pipe(map(() => 'later')));
    });
    const app = await open({
      handler: async (op) => {
        runs += 1;
        await shop.effects.insert({ what: 'debit', attempt: op.attempt });
        await gate.pass();
        await shop.effects.insert({ what: 'credit', attempt: op.attempt });
        return `paid ${op.attempt}`;
      },
      inside: [impatient],
      options: { inFlight: 'reject' },
    });

    expect(await app.call('k')).toBe('later');
    gate.open();
    await eventually(async () => expect(await app.state()).toBe('released'));
    expect(await shop.committed()).toEqual([]);
    expect(await app.call('k')).toBe('paid 2');
    expect([await shop.committed(), runs]).toEqual([['debit 2', 'credit 2'], 2]);
  });

  it('that cannot be kept as it is commits all the same, and never runs again', async () => {
    const app = await open({
      handler: async (op) => (await pay(op), 'x'.repeat(200)),
      options: { maxResponseBytes: 100 },
    });
    expect(await app.call('k')).toBe('x'.repeat(200));
    expect(await app.call('k')).toEqual({ code: 'result-not-replayable' });
    expect([runs, await shop.committed()]).toEqual([1, ['debit 1', 'credit 1']]);
  });
});

describe('a transactional handler that answers with several messages', () => {
  const shop = useShop(postgres);

  it('sends the first of them after the commit', async () => {
    @Controller()
    class Payments {
      @MessagePattern('pay')
      @Idempotent(OPTIONS)
      pay(@Payload() _data: unknown, @IdempotentOp() op: IdempotentOperation) {
        const written = (what: string) =>
          defer(() => from(shop.effects.insert({ what, attempt: op.attempt }))).pipe(map(() => what));
        return concat(of('begun'), written('debit'), written('credit'));
      }
    }
    const storage = typeOrmStorage({ dataSource: shop.dataSource, purgeEvery: false });
    const { client, sendForAll } = await startTcp({
      controllers: [Payments],
      options: { namespace: 'shop', storage },
    });

    const committed: number[] = [];
    await new Promise<void>((resolve, reject) => {
      client
        .send('pay', { id: 'k' })
        .pipe(concatMap(async () => committed.push((await shop.committed()).length)))
        .subscribe({ error: reject, complete: resolve });
    });
    expect(committed).toEqual([2, 2, 2]);
    expect(await sendForAll('pay', { id: 'k' })).toEqual(['begun', 'debit', 'credit']);
    expect(await shop.committed()).toEqual(['debit 1', 'credit 1']);
  });
});

describe('`run()` with `transactional`', () => {
  const shop = useShop(postgres);
  const job = { operation: 'import', key: 'k', transactional: true } as const;

  it('commits what its work wrote with its result, or neither of them', async () => {
    const { service } = await shop.open('express', {});
    const work = async (op: IdempotentOperation) => {
      await shop.effects.insert({ what: 'row', attempt: op.attempt });
      await op.manager.query(`insert into effects (what, attempt) values ('by hand', ${op.attempt})`);
      if (op.attempt === 1) throw new Error('a bug');
      return { attempt: op.attempt };
    };

    await expect(service.run(job, work)).rejects.toThrow('a bug');
    expect(await shop.committed()).toEqual([]);
    expect(await service.run(job, work)).toEqual({ value: { attempt: 2 }, replayed: false });
    expect(await service.run(job, work)).toEqual({ value: { attempt: 2 }, replayed: true });
    expect(await shop.committed()).toEqual(['row 2', 'by hand 2']);
  });

  it.each([false, true])(
    'inside a handler that is rolled back lasts as its record says, with `transactional: %s`',
    async (own) => {
      const pay = transactional('pay', async (op) => {
        await shop.effects.insert({ what: 'of the handler', attempt: op.attempt });
        const { replayed } = await opened.service.run({ ...job, transactional: own }, async (inner) => {
          await shop.effects.insert({ what: 'of the job', attempt: inner.attempt });
        });
        if (op.attempt === 1) throw new Error('a bug');
        return { replayed };
      });
      const opened: OpenShop = await shop.open('express', { controllers: [pay] });

      expect((await send(opened, '/pay', { key: 'k' })).status).toBe(500);
      expect((await send(opened, '/pay', { key: 'k' })).json).toEqual({ replayed: true });
      expect(await shop.committed()).toEqual(['of the job 1', 'of the handler 2']);
    },
  );

  it('throws commit-failed when another has taken over, and its work has done nothing', async () => {
    const { service } = await shop.open('express', {});
    const run = service.run(job, async (op) => {
      await shop.effects.insert({ what: 'row', attempt: op.attempt });
      await shop.outside.query(`update idempotency_records set owner = '${SOMEBODY}'`);
    });
    await expect(run).rejects.toMatchObject({ code: 'commit-failed' });
    expect(await shop.committed()).toEqual([]);
  });

  it('takes the default of the module, and refuses what the database does not know', async () => {
    const { service } = await shop.open('express', { options: { transactional: true } });
    const { transactional: _, ...plain } = job;
    const failing = service.run(plain, async (op) => {
      await shop.effects.insert({ what: 'row', attempt: op.attempt });
      throw new Error('a bug');
    });
    await expect(failing).rejects.toThrow('a bug');
    expect(await shop.committed()).toEqual([]);
    await expect(service.run({ ...job, transactional: { isolation: 'CHAOS' } }, () => 1)).rejects.toThrow(
      /`transactional.isolation` is 'CHAOS'; it must be 'READ UNCOMMITTED'/,
    );
  });
});
