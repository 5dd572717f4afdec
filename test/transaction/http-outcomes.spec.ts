import {
  ConflictException,
  Controller,
  HttpException,
  Post,
  ServiceUnavailableException,
  UseGuards,
  type NestInterceptor,
} from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { Idempotent, IdempotentOp, IdempotentOperation, memoryStorage } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { concatMap, defer, map, of, race, retry } from 'rxjs';
import { around } from '../http/responses/around.js';
import { platforms } from '../http/support/apps.js';
import { expectProblem, expectReplayOf, retryAfter, send } from '../http/support/requests.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { eventually, usePostgres } from '../support/postgres-fixture.js';
import { transactional, useShop, type DatabaseName } from './support/shop.js';

const SOMEBODY = '00000000-0000-4000-8000-000000000000';
const fixtures = { PostgreSQL: usePostgres(), MariaDB: useMariaDb() };
const places = [
  ...platforms.map((platform) => ['PostgreSQL', platform] as const),
  ['MariaDB', 'express'] as const,
] satisfies readonly (readonly [DatabaseName, string])[];

describe.each(places)('a transactional handler on %s and %s', (database, platform) => {
  const shop = useShop(fixtures[database]);
  let runs = 0;
  let gate = new Gate();
  beforeEach(() => {
    runs = 0;
    gate = new Gate();
  });

  /** Has an effect in the transaction. */
  const effect = async (what: string, op: IdempotentOperation) => {
    await shop.effects.insert({ what, attempt: op.attempt });
  };
  const both = async (op: IdempotentOperation) => {
    runs += 1;
    await effect('debit', op);
    await effect('credit', op);
    return { attempt: op.attempt };
  };

  it('commits what it wrote together with its record, and a retry replays', async () => {
    const app = await shop.open(platform, { controllers: [transactional('pay', both)] });

    const first = await send(app, '/pay', { key: 'k' });

    expect(first.status).toBe(201);
    expect(await shop.committed()).toEqual(['debit 1', 'credit 1']);
    expect(await app.record()).toBe('completed');
    expectReplayOf(first, await send(app, '/pay', { key: 'k' }));
    expect(runs).toBe(1);
    expect(app.events).toEqual(['claimed', 'completed', 'replayed']);
  });

  it('shows nothing of what it wrote, and no answer, before the commit', async () => {
    const controllers = [transactional('pay', async (op) => (await both(op), await gate.pass(), 'paid'))];
    const app = await shop.open(platform, { controllers });
    const another = await shop.open(platform, { controllers });

    let answered = false;
    const first = send(app, '/pay', { key: 'k' }).then((answer) => ((answered = true), answer));
    await gate.reached();
    expect(await shop.committed()).toEqual([]);
    // Nobody waits for the transaction: here the process knows of it, there the storage is asked.
    for (const one of [app, another])
      expectProblem(await send(one, '/pay', { key: 'k' }), 409, 'key-in-progress');
    expect(answered).toBe(false);

    gate.open();
    expect((await first).status).toBe(201);
    expect(await shop.committed()).toEqual(['debit 1', 'credit 1']);
  });

  it('that throws a 4xx leaves nothing behind but that answer', async () => {
    const refuses = async (op: IdempotentOperation) => {
      await both(op);
      throw new ConflictException('already paid');
    };
    const app = await shop.open(platform, { controllers: [transactional('pay', refuses)] });

    const first = await send(app, '/pay', { key: 'k' });

    expect(first.status).toBe(409);
    expect(await shop.committed()).toEqual([]);
    expectReplayOf(first, await send(app, '/pay', { key: 'k' }));
    expect(runs).toBe(1);
  });

  it.each([
    ['a 5xx', () => new ServiceUnavailableException()],
    ['a 429', () => new HttpException('slow down', 429)],
    ['anything else', () => new Error('a bug')],
  ])('that throws %s leaves nothing behind, and a retry is attempt 2', async (_what, error) => {
    const app = await shop.open(platform, {
      controllers: [
        transactional('pay', async (op) => {
          const done = await both(op);
          if (op.attempt === 1) throw error();
          return done;
        }),
      ],
    });

    expect((await send(app, '/pay', { key: 'k' })).status).toBeGreaterThanOrEqual(429);
    expect(await shop.committed()).toEqual([]);
    expect(await app.record()).toBe('released');
    expect((await send(app, '/pay', { key: 'k' })).json).toEqual({ attempt: 2 });
    expect(await shop.committed()).toEqual(['debit 2', 'credit 2']);
  });

  it('whose value a serializer fails on is rolled back and released', async () => {
    const failing = around((next) =>
      next.handle().pipe(
        map((value) => {
          if ((value as { attempt: number }).attempt === 1) throw new Error('no such property');
          return value;
        }),
      ),
    );
    const app = await shop.open(platform, {
      controllers: [transactional('pay', both, { inside: [failing] })],
    });

    expect((await send(app, '/pay', { key: 'k' })).status).toBe(500);
    expect(await shop.committed()).toEqual([]);
    expect((await send(app, '/pay', { key: 'k' })).json).toEqual({ attempt: 2 });
    expect(await shop.committed()).toEqual(['debit 2', 'credit 2']);
  });

  it('that an interceptor inside asks again after a throw commits the second try alone', async () => {
    const app = await shop.open(platform, {
      controllers: [
        transactional(
          'pay',
          async (op) => {
            const done = await both(op);
            if (runs === 1) throw new Error('for the first try');
            return { ...done, runs };
          },
          { inside: [around((next) => next.handle().pipe(retry(1)))] },
        ),
      ],
    });

    const first = await send(app, '/pay', { key: 'k' });

    expect(first.json).toEqual({ attempt: 1, runs: 2 });
    expect(await shop.committed()).toEqual(['debit 1', 'credit 1']);
    expectReplayOf(first, await send(app, '/pay', { key: 'k' }));
  });

  it('has what it wrote seen by interceptors inside, and by nobody else', async () => {
    const counts: number[] = [];
    const counting = (count: () => Promise<number>): NestInterceptor =>
      around((next) =>
        next.handle().pipe(concatMap(async (value: unknown) => (counts.push(await count()), value))),
      );
    const inside = [
      counting(() => shop.effects.count()),
      counting(() => shop.outside.getRepository('Effect').count()),
    ];
    const app = await shop.open(platform, { controllers: [transactional('pay', both, { inside })] });

    expect((await send(app, '/pay', { key: 'k' })).status).toBe(201);
    // The innermost comes first.
    expect(counts).toEqual([0, 2]);
  });

  it('that is answered by a timeout between debit and credit: neither is committed, nothing is recorded, the retry does both once', async () => {
    const impatient = around((next, context) => {
      const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
      if (headers['x-impatient'] === undefined) return next.handle();
      const fallback = defer(() => gate.reached()).pipe(concatMap(() => of({ fallback: true })));
      return race(next.handle(), fallback);
    });
    let late: unknown;
    const app = await shop.open(platform, {
      controllers: [
        transactional(
          'pay',
          async (op) => {
            runs += 1;
            await effect('debit', op);
            await gate.pass();
            late = await effect('credit', op).catch((error: unknown) => error);
            if (late instanceof Error) throw late;
            return { attempt: op.attempt };
          },
          { inside: [impatient] },
        ),
      ],
    });

    const first = await send(app, '/pay', { key: 'k', headers: { 'x-impatient': 'yes' } });
    expect(first.json).toEqual({ fallback: true });
    expect(await shop.committed()).toEqual([]);
    expectProblem(await send(app, '/pay', { key: 'k' }), 409, 'key-in-progress');

    gate.open();
    await eventually(async () => expect(await app.record()).toBe('released'));
    expect(late).toMatchObject({ code: 'transaction-ended' });
    expect(await shop.committed()).toEqual([]);

    const second = await send(app, '/pay', { key: 'k' });
    expect(second.json).toEqual({ attempt: 2 });
    expect(second.headers.get('idempotent-replayed')).toBeNull();
    expect(await shop.committed()).toEqual(['debit 2', 'credit 2']);
    expectReplayOf(second, await send(app, '/pay', { key: 'k' }));
    expect(runs).toBe(2);
  });

  it('does not take what guards and pipes write into its transaction', async () => {
    const writing = (what: string) => () => shop.effects.insert({ what, attempt: 0 }).then(() => true);
    @Controller()
    @UseGuards({ canActivate: writing('guard') })
    class Payments {
      @Post('pay')
      @Idempotent({ transactional: true })
      async pay(
        @IdempotentOp({ transform: (op: unknown) => writing('pipe')().then(() => op) })
        op: IdempotentOperation,
      ) {
        await both(op);
        throw new ConflictException('no');
      }
    }
    const app = await shop.open(platform, { controllers: [Payments] });

    expect((await send(app, '/pay', { key: 'k' })).status).toBe(409);
    expect(await shop.committed()).toEqual(['guard 0', 'pipe 0']);
  });

  it('whose lease was taken over leaves nothing behind; its client is told to ask again', async () => {
    const app = await shop.open(platform, {
      controllers: [
        transactional('pay', async (op) => {
          const done = await both(op);
          if (runs === 1) await gate.pass();
          return done;
        }),
      ],
    });
    const late = send(app, '/pay', { key: 'k' });
    await gate.reached();
    // As another process does when this one has stood still.
    await shop.outside.query(`update idempotency_records set owner = '${SOMEBODY}'`);
    gate.open();

    const answer = await late;
    expectProblem(answer, 503, 'commit-failed');
    expect(retryAfter(answer)).toBe(1);
    expect(answer.headers.get('location')).toBeNull();
    expect(await shop.committed()).toEqual([]);
    expect(app.events).toContain('lease-lost');
  });

  it('is refused on a storage without transactions', async () => {
    const app = { options: { storage: memoryStorage() }, controllers: [transactional('pay', both)] };
    await expect(shop.open(platform, app)).rejects.toThrow(/`transactional` needs a storage/);
  });
});
