import { describe, expect, it } from '@jest/globals';
import {
  ConflictException,
  Injectable,
  Logger,
  ServiceUnavailableException,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { FakeClock, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { GraphQLError } from 'graphql';
import { from, of, race, timer, map, type Observable } from 'rxjs';
import { eventually } from '../http/support/eventually.js';
import { ask, codeOf, drivers, startGraphql } from './support/graphql-app.js';
import { actResolver, type Work } from './support/one-mutation.js';
import type { IdempotencyModuleOptions, IdempotentOptions } from 'nestjs-idempotent';

const ACT = 'mutation { act }';

describe.each(drivers)('what a mutation came to, $name', (driver) => {
  const start = (work: Work, options: IdempotentOptions = {}, module: IdempotencyModuleOptions = {}) =>
    startGraphql(driver, { providers: [actResolver(work, options)], options: module });

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
