import { describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  Injectable,
  type CanActivate,
  type ExecutionContext,
  type PipeTransform,
  type Type,
} from '@nestjs/common';
import { APP_GUARD, APP_PIPE } from '@nestjs/core';
import {
  Args,
  GqlExecutionContext,
  Int,
  Mutation,
  Query,
  Resolver,
  Scalar,
  type CustomScalar,
} from '@nestjs/graphql';
import { Idempotent, type IdempotentOptions } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { ask, codeOf, drivers, startGraphql } from './support/graphql-app.js';
import { actResolver, type Work } from './support/one-mutation.js';

const ACT = 'mutation { act }';

describe.each(drivers)('a mutation with a key, $name', (driver) => {
  const start = (work: Work, options: IdempotentOptions = {}) =>
    startGraphql(driver, { providers: [actResolver(work, options)] });

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

  it('of arguments that have not arrived yet cannot be compared, unless `fingerprint` leaves them out', async () => {
    @Scalar('File')
    class FileScalar implements CustomScalar<string, Promise<string>> {
      // As uploads are: the file comes later.
      parseValue = async (value: unknown) => String(value);
      parseLiteral = async () => 'literal';
      serialize = String;
    }
    const make = (options: IdempotentOptions): Type => {
      @Resolver()
      class Uploads {
        @Query(() => Int)
        nothing() {
          return 0;
        }
        @Mutation(() => String)
        @Idempotent(options)
        async upload(
          @Args('name') name: string,
          @Args('file', { type: () => FileScalar }) file: Promise<string>,
        ) {
          return `${name} ${await file}`;
        }
      }
      return Uploads;
    };
    const send = async (options: IdempotentOptions) =>
      ask(
        await startGraphql(driver, { providers: [FileScalar, make(options)] }),
        'mutation($f: File!) { upload(name: "a", file: $f) }',
        { key: 'k', variables: { f: 'content' } },
      );

    expect(codeOf(await send({}))).toBe('fingerprint-unavailable');
    expect((await send({ fingerprint: { exclude: ['file'] } })).data).toEqual({ upload: 'a content' });
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
});
