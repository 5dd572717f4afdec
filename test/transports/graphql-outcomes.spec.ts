import { describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  ConflictException,
  Injectable,
  Logger,
  ServiceUnavailableException,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { GqlExecutionContext } from '@nestjs/graphql';
import { FakeClock, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { GraphQLError } from 'graphql';
import { from, of, race, timer, map, type Observable } from 'rxjs';
import { eventually } from '../http/support/eventually.js';
import { ask, codeOf, drivers, startGraphql } from './support/graphql-app.js';
import { actResolver, type Work } from './support/one-mutation.js';
import type { IdempotentOptions, IdempotencyModuleOptions } from 'nestjs-idempotent';

const ACT = 'mutation { act }';

describe.each(drivers)('what a mutation came to, $name', (driver) => {
  const start = (work: Work, options: IdempotentOptions = {}, module: IdempotencyModuleOptions = {}) =>
    startGraphql(driver, { providers: [actResolver(work, options)], options: module });

  it('needs a key, and says which', async () => {
    const app = await start(() => 'never');

    const { data, errors } = await ask(app, ACT);

    expect(data).toEqual({ act: null });
    expect(errors?.[0]).toMatchObject({
      message:
        'Mutation.act needs an Idempotency-Key header. Send a unique value per operation, such as a UUID, and reuse it only to retry.',
      path: ['act'],
      extensions: { code: 'key-missing', status: 400, title: 'Idempotency key missing', type: 'about:blank' },
    });
  });

  it('runs without a key where none is required, with an operation that has none', async () => {
    const app = await start((name, op) => `${name} ${op.key} ${op.attempt}`, { required: false });

    expect((await ask(app, ACT)).data).toEqual({ act: 'x undefined 1' });
  });

  it('is refused under the same key with other arguments, whatever the order of their members', async () => {
    let runs = 0;
    const app = await start(() => String(++runs));

    await ask(app, ACT, { key: 'k' });
    const other = await ask(app, 'mutation { act(name: "y") }', { key: 'k' });

    expect(codeOf(other)).toBe('key-reused');
    expect(other.errors?.[0]?.extensions).toMatchObject({ status: 422 });
    expect(runs).toBe(1);
  });

  it('is refused while it runs, with the time to wait, and replayed afterwards', async () => {
    const gate = new Gate();
    const app = await start(async () => (await gate.pass(), 'done'));

    const first = ask(app, ACT, { key: 'k' });
    await gate.reached();
    const meanwhile = await ask(app, ACT, { key: 'k' });
    gate.open();

    expect(meanwhile.errors?.[0]?.extensions).toMatchObject({ code: 'key-in-progress', retryAfter: 1 });
    expect((await first).data).toEqual({ act: 'done' });
    expect((await ask(app, ACT, { key: 'k' })).data).toEqual({ act: 'done' });
  });

  it('is waited for with `inFlight: wait`', async () => {
    const gate = new Gate();
    let runs = 0;
    const app = await start(async () => (await gate.pass(), String(++runs)), { inFlight: 'wait' });

    const all = [1, 2, 3].map(() => ask(app, ACT, { key: 'k' }));
    await gate.reached();
    gate.open();

    expect((await Promise.all(all)).map(({ data }) => data)).toEqual(Array(3).fill({ act: '1' }));
  });

  it.each([
    ['a client error', () => new ConflictException('sold out'), true],
    ['a server error', () => new ServiceUnavailableException('later'), false],
    ['an error of no kind', () => new Error('broken'), false],
    [
      'a GraphQLError with a code',
      () => new GraphQLError('sold out', { extensions: { code: 'SOLD_OUT', left: 0 } }),
      true,
    ],
    ['a GraphQLError that goes out as a failure', () => new GraphQLError('broken'), false],
    [
      'a GraphQLError with a status that says later',
      () => new GraphQLError('slow down', { extensions: { code: 'RATE', http: { status: 429 } } }),
      false,
    ],
  ])('when it threw %s', async (_what, error, kept) => {
    let runs = 0;
    const app = await start(() => {
      runs += 1;
      throw error();
    });

    const first = await ask(app, ACT, { key: 'k' });
    const again = await ask(app, ACT, { key: 'k' });

    const seen = ({ errors }: typeof first) => {
      const { stacktrace: _, ...extensions } = errors?.[0]?.extensions ?? {};
      return [errors?.[0]?.message, errors?.[0]?.path, extensions];
    };
    expect(first.errors).toHaveLength(1);
    expect(seen(again)).toEqual(seen(first));
    expect(runs).toBe(kept ? 1 : 2);
  });

  it('is decided by `record`, which is asked about GraphQL', async () => {
    const asked: unknown[] = [];
    let runs = 0;
    const app = await start(() => String(++runs), {
      record: (outcome) => {
        asked.push(outcome);
        return 'release';
      },
    });

    await ask(app, ACT, { key: 'k' });
    const again = await ask(app, ACT, { key: 'k' });

    expect(asked[0]).toEqual({ transport: 'graphql', phase: 'returned', value: '1' });
    expect(again.data).toEqual({ act: '2' });
  });

  class Money {
    constructor(readonly cents: number) {}
    toString() {
      return `${this.cents} cents`;
    }
  }

  it('is refused when it cannot be carried, with a warning that says what, and never runs again', async () => {
    let runs = 0;
    const app = await start((_name, op) => {
      op.setResource('order', ++runs);
      return new Money(runs);
    });
    const lines: string[] = [];
    const { warn } = Logger.prototype;
    Logger.overrideLogger(false);
    Logger.prototype.warn = (line: string) => void lines.push(line);
    try {
      await ask(app, ACT, { key: 'k' });
      const again = await ask(app, ACT, { key: 'k' });

      expect(codeOf(again)).toBe('result-not-replayable');
      expect(again.errors?.[0]?.message).toContain('It made order 1');
      expect(lines).toContainEqual(
        expect.stringContaining(
          'The result of Mutation.act cannot be recorded: it is a Money, whose `toString` would be missing',
        ),
      );
      expect(runs).toBe(1);
    } finally {
      Logger.prototype.warn = warn;
    }
  });

  it('is rebuilt by `replayWith` when it is larger than `maxResponseBytes`', async () => {
    let runs = 0;
    const app = await start(
      (_name, op) => {
        op.setResource('text', ++runs);
        return 'x'.repeat(100);
      },
      { maxResponseBytes: 101, replayWith: ({ type, id }) => `rebuilt ${type} ${id}` },
    );

    const first = await ask(app, ACT, { key: 'k' });

    expect(first.data).toEqual({ act: 'x'.repeat(100) });
    expect((await ask(app, ACT, { key: 'k' })).data).toEqual({ act: 'rebuilt text 1' });
    expect(runs).toBe(1);
  });

  it('is the last value of an Observable', async () => {
    let runs = 0;
    const app = await start(() => (runs++, from(['a', 'b'])));

    expect((await ask(app, ACT, { key: 'k' })).data).toEqual({ act: 'b' });
    expect((await ask(app, ACT, { key: 'k' })).data).toEqual({ act: 'b' });
    expect(runs).toBe(1);
  });

  it('is told to the user whose key it is, and to nobody else', async () => {
    @Injectable()
    class UserGuard implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        const { req } = GqlExecutionContext.create(context).getContext<{ req: Record<string, unknown> }>();
        req['user'] = { id: (req['headers'] as Record<string, string>)['x-user-id'] };
        return true;
      }
    }
    let runs = 0;
    const app = await startGraphql(driver, {
      providers: [actResolver(() => String(++runs)), { provide: APP_GUARD, useClass: UserGuard }],
    });
    const as = (user: string) => ask(app, ACT, { key: 'k', headers: { 'x-user-id': user } });

    const answers = [await as('ann'), await as('bob'), await as('ann')];

    expect(answers.map(({ data }) => data?.['act'])).toEqual(['1', '2', '1']);
  });

  it('is recorded when it comes after an outer interceptor has answered, and no duplicate runs meanwhile', async () => {
    const gate = new Gate();
    let runs = 0;
    @Injectable()
    class Impatient implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
        return race(next.handle(), timer(150).pipe(map(() => 'too late')));
      }
    }
    const app = await startGraphql(driver, {
      providers: [
        actResolver(async () => {
          runs += 1;
          await gate.pass();
          return 'done';
        }),
        { provide: APP_INTERCEPTOR, useClass: Impatient },
      ],
    });

    const early = await ask(app, ACT, { key: 'k' });
    const meanwhile = await ask(app, ACT, { key: 'k' });
    gate.open();

    expect(early.data).toEqual({ act: 'too late' });
    expect(codeOf(meanwhile)).toBe('key-in-progress');
    await eventually(async () => expect((await ask(app, ACT, { key: 'k' })).data).toEqual({ act: 'done' }));
    expect(runs).toBe(1);
  });

  it('leaves nothing when a pipe refuses, so the same key may carry the corrected request', async () => {
    let runs = 0;
    @Injectable()
    class NoBadNames implements PipeTransform {
      transform(value: unknown) {
        if (value === 'bad') throw new BadRequestException('a bad name');
        return value;
      }
    }
    const app = await startGraphql(driver, {
      providers: [actResolver((name) => `${name} ${++runs}`), { provide: APP_PIPE, useClass: NoBadNames }],
    });

    const refused = await ask(app, 'mutation { act(name: "bad") }', { key: 'k' });
    const corrected = await ask(app, 'mutation { act(name: "good") }', { key: 'k' });

    expect(refused.errors?.[0]?.message).toBe('a bad name');
    expect(corrected.data).toEqual({ act: 'good 1' });
  });

  describe('after a crash', () => {
    const crash = async (options: IdempotentOptions) => {
      const clock = new FakeClock();
      const storage = new MemoryStorage({ clock });
      const gate = new Gate();
      const dead = await start(async () => (await gate.pass(), 'late'), options, { storage });
      const first = ask(dead, ACT, { key: 'k' });
      await gate.reached();
      await clock.advance(30_000);
      const app = await start((_n, op) => `attempt ${op.attempt} ${op.takenOver}`, options, { storage });
      return { app, finish: async () => (gate.open(), first) };
    };

    it('is run again by a retry, and the late one does not overwrite it', async () => {
      const { app, finish } = await crash({});

      const again = await ask(app, ACT, { key: 'k' });

      expect(again.data).toEqual({ act: 'attempt 2 true' });
      expect((await finish()).data).toEqual({ act: 'late' });
      expect((await ask(app, ACT, { key: 'k' })).data).toEqual(again.data);
    });

    it('is what `recover` says', async () => {
      const { app, finish } = await crash({ recover: (op) => of(`recovered in attempt ${op.attempt}`) });

      expect((await ask(app, ACT, { key: 'k' })).data).toEqual({ act: 'recovered in attempt 2' });
      expect((await ask(app, ACT, { key: 'k' })).data).toEqual({ act: 'recovered in attempt 2' });
      await finish();
    });

    it('is unknown with `onAbandoned: refuse`', async () => {
      const { app, finish } = await crash({ onAbandoned: 'refuse' });

      expect(codeOf(await ask(app, ACT, { key: 'k' }))).toBe('outcome-unknown');
      await finish();
    });
  });
});
