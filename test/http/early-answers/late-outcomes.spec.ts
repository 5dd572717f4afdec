import {
  Body,
  Catch,
  ConflictException,
  Controller,
  Header,
  HttpCode,
  HttpException,
  Post,
  Res,
  UseFilters,
  UseInterceptors,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  Idempotent,
  IdempotentOp,
  IdempotentOperation,
  memoryStorage,
  type IdempotencyModuleOptions,
} from 'nestjs-idempotent';
import { faultyStorage, Gate } from 'nestjs-idempotent/testing';
import { concatMap, defer, EMPTY, from, map, NEVER, of, race, tap, throwError, type Observable } from 'rxjs';
import { around } from '../responses/around.js';
import { platforms, start, type RunningApp } from '../support/apps.js';
import { eventually } from '../support/eventually.js';
import { expectProblem, expectReplayOf, send, type Received } from '../support/requests.js';

let gate = new Gate();
let runs = 0;

/** Answers 408 as soon as the handler stands at the gate, if the client is impatient. */
const limited = around((next, context) => {
  const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>();
  if (headers['x-impatient'] === undefined) return next.handle();
  const early = throwError(() => new HttpException('Too slow', 408));
  return race(next.handle(), defer(() => gate.reached()).pipe(concatMap(() => early)));
});

interface HeaderSetter {
  header(name: string, value: string): unknown;
}

const enveloped = around((next, context) =>
  next.handle().pipe(
    tap(() => context.switchToHttp().getResponse<HeaderSetter>().header('X-Enveloped', 'yes')),
    map((data: unknown) => ({ data })),
  ),
);

@Catch(ConflictException)
class Reshaping implements ExceptionFilter {
  catch(error: ConflictException, host: ArgumentsHost): void {
    const response = host
      .switchToHttp()
      .getResponse<{ status(code: number): { send(body: unknown): void } }>();
    response.status(error.getStatus()).send({ reshaped: error.getResponse() });
  }
}

const work = async <T>(outcome: () => T): Promise<T> => {
  runs += 1;
  await gate.pass();
  return outcome();
};

@Controller('late')
class Late {
  @Post('status')
  @HttpCode(202)
  @Header('X-Declared', 'yes')
  @UseInterceptors(limited, enveloped)
  @Idempotent()
  status() {
    return work(() => ({ charged: true }));
  }

  @Post('filter')
  @UseFilters(Reshaping)
  @UseInterceptors(limited)
  @Idempotent()
  filter() {
    return work(() => {
      throw new ConflictException({ code: 'PAID' });
    });
  }

  @Post('again/:how')
  @UseInterceptors(limited)
  @Idempotent()
  again(@Body() body: { outcome: string }) {
    return work(() => {
      if (body.outcome === '503') throw new HttpException('Try again', 503);
      if (body.outcome === '429') throw new HttpException('Slow down', 429);
      throw new Error('unexpected');
    });
  }

  @Post('nothing')
  @UseInterceptors(limited)
  @Idempotent()
  nothing() {
    return work(() => undefined);
  }

  @Post('empty')
  @UseInterceptors(limited)
  @Idempotent()
  empty(): Observable<unknown> {
    return defer(() => from(work(() => EMPTY))).pipe(concatMap((nothing) => nothing));
  }

  @Post('many')
  @UseInterceptors(limited)
  @Idempotent()
  many(): Observable<unknown> {
    return defer(() => from(work(() => of(1, 2, { last: true })))).pipe(concatMap((all) => all));
  }

  @Post('failing')
  @UseInterceptors(limited)
  @Idempotent()
  failing(): Observable<unknown> {
    return defer(() => from(work(() => throwError(() => new ConflictException({ code: 'PAID' }))))).pipe(
      concatMap((error) => error),
    );
  }

  @Post('never')
  @UseInterceptors(limited)
  @Idempotent({ lease: '300ms', maxRun: '600ms', storageTimeout: '100ms' })
  never(@IdempotentOp() op: IdempotentOperation): Observable<unknown> {
    return op.attempt > 1
      ? of({ attempt: op.attempt })
      : defer(() => from(work(() => NEVER))).pipe(concatMap((n) => n));
  }

  @Post('answering')
  @UseInterceptors(limited)
  @Idempotent()
  async answering(
    @Body() body: { throws?: boolean },
    @Res() response: { status(code: number): { send(body: unknown): void } },
  ) {
    await work(() => undefined);
    if (body.throws) throw new ConflictException({ code: 'PAID' });
    response.status(201).send({ charged: true });
  }
}

describe.each(platforms)('what a handler comes to after an early answer, on %s', (platform) => {
  beforeEach(() => {
    gate = new Gate();
    runs = 0;
  });

  const launch = (options: IdempotencyModuleOptions = {}) =>
    start(platform, { controllers: [Late], options });

  /** The answer that a retry gets once the handler has settled. */
  async function afterTheRun(app: RunningApp, path: string, body: object = {}): Promise<Received> {
    let answer = await send(app, path, { key: 'k', body });
    await eventually(async () => {
      if (answer.json?.code === 'key-in-progress') answer = await send(app, path, { key: 'k', body });
      expect(answer.json?.code).not.toBe('key-in-progress');
    });
    return answer;
  }

  async function answeredEarly(app: RunningApp, path: string, body: object = {}): Promise<void> {
    const early = await send(app, path, { key: 'k', body, headers: { 'X-Impatient': 'yes' } });
    expect(early.status).toBe(408);
    expect([early.headers.get('idempotency-expires'), early.headers.get('idempotent-replayed')]).toEqual([
      null,
      null,
    ]);
    expectProblem(await send(app, path, { key: 'k', body }), 409, 'key-in-progress');
    gate.open();
  }

  it('goes out with the status, headers and interceptors of the route, and those bytes are replayed', async () => {
    const app = await launch();
    await answeredEarly(app, '/late/status');
    const first = await afterTheRun(app, '/late/status');

    expect({ status: first.status, json: first.json }).toEqual({
      status: 202,
      json: { data: { charged: true } },
    });
    expect([first.headers.get('x-declared'), first.headers.get('x-enveloped')]).toEqual(['yes', 'yes']);
    const again = await send(app, '/late/status', { key: 'k', body: {} });
    expectReplayOf(first, again);
    expect([again.headers.get('x-declared'), again.headers.get('x-enveloped')]).toEqual(['yes', 'yes']);
    expect(runs).toBe(1);
  });

  it('goes through the exception filters of the route when it is a refusal', async () => {
    const app = await launch();
    await answeredEarly(app, '/late/filter');
    const first = await afterTheRun(app, '/late/filter');

    expect([first.status, first.json]).toEqual([409, { reshaped: { code: 'PAID' } }]);
    expectReplayOf(first, await send(app, '/late/filter', { key: 'k', body: {} }));
    expect(runs).toBe(1);
  });

  it.each(['503', '429', 'unexpected'])(
    'is released when it is %s: a retry runs the handler again',
    async (outcome) => {
      const app = await launch();
      await answeredEarly(app, `/late/again/x`, { outcome });
      await eventually(async () => {
        await send(app, '/late/again/x', { key: 'k', body: { outcome } });
        expect(runs).toBeGreaterThan(1);
      });
      expectProblem(await send(app, '/late/again/x', { key: 'k', body: { other: 1 } }), 422, 'key-reused');
    },
  );

  it('is sent by one of two retries that come at once, and the other gets the same or is told to wait', async () => {
    const app = await launch();
    await answeredEarly(app, '/late/status');
    await eventually(async () => {
      const found = await Promise.all(
        Array.from({ length: 5 }, () => send(app, '/late/status', { key: 'k', body: {} })),
      );
      const bodies = found
        .filter(({ status }) => status !== 409)
        .map(({ status, text }) => `${status} ${text}`);
      expect(bodies.length).toBeGreaterThan(0);
      expect(new Set(bodies)).toEqual(new Set(['202 {"data":{"charged":true}}']));
      expect(
        found.filter(({ status, headers }) => status === 202 && !headers.has('idempotent-replayed')).length,
      ).toBeLessThanOrEqual(1);
    });
    expect(runs).toBe(1);
  });

  it('is still there when the retry that was to send it could not record it', async () => {
    const storage = faultyStorage(memoryStorage());
    const app = await launch({ storage, storageTimeout: '100ms' });
    await answeredEarly(app, '/late/status');
    await eventually(() => expect(storage.calls('saveStep')).toHaveLength(1));
    await eventually(() => expect(storage.calls('release').length).toBeGreaterThan(0));
    // The process that sends it dies before it has recorded it: nobody hears of its claim again.
    storage.rejectNext('complete', Infinity);
    const unrecorded = await send(app, '/late/status', { key: 'k', body: {} });
    expect([unrecorded.status, unrecorded.headers.get('idempotency-status')]).toEqual([202, 'unrecorded']);
    storage.heal();
    const again = await afterTheRun(app, '/late/status');
    expect({ status: again.status, json: again.json }).toEqual({
      status: 202,
      json: { data: { charged: true } },
    });
    expect(runs).toBe(1);
  });

  it('is kept as soon as the storage is back, when that is away while the handler settles', async () => {
    const storage = faultyStorage(memoryStorage());
    const app = await launch({ storage, storageTimeout: '100ms' });
    storage.rejectNext('saveStep', Infinity);
    await answeredEarly(app, '/late/status');
    await eventually(() => {
      const [first, ...more] = storage.calls('saveStep').filter(({ outcome }) => outcome === 'rejected');
      expect(first).toBeDefined();
      // More than fit into the storage's time.
      expect(more.length).toBeGreaterThan(4);
    });
    storage.heal();

    const first = await afterTheRun(app, '/late/status');
    expect({ status: first.status, json: first.json }).toEqual({
      status: 202,
      json: { data: { charged: true } },
    });
    expect(runs).toBe(1);
  });

  it.each([
    ['nothing', 'nothing', 201, ''],
    ['the end of an Observable that emits several values', 'many', 201, '{"last":true}'],
    ['the error of an Observable', 'failing', 409, '{"code":"PAID"}'],
  ])('is sent by the first retry when it is %s', async (_what, path, status, text) => {
    const app = await launch();
    await answeredEarly(app, `/late/${path}`);
    const first = await afterTheRun(app, `/late/${path}`);

    expect([first.status, first.text]).toEqual([status, text]);
    expectReplayOf(first, await send(app, `/late/${path}`, { key: 'k', body: {} }));
    expect(runs).toBe(1);
  });

  it('is sent as what Nest makes of an Observable without a value', async () => {
    const app = await launch();
    gate.open();
    const bare = await send(app, '/late/empty', { key: 'other', body: {} });
    gate = new Gate();
    runs = 0;
    await answeredEarly(app, '/late/empty');
    const first = await afterTheRun(app, '/late/empty');
    expect([first.status, first.text]).toEqual([bare.status, bare.text]);
    expect(runs).toBe(1);
  });

  it('never comes from an Observable that never ends: no duplicate runs until `maxRun` is over, then one does', async () => {
    const app = await launch();
    await answeredEarly(app, '/late/never');
    const taken = performance.now();
    const next = await afterTheRun(app, '/late/never');

    expect(next.json).toEqual({ attempt: 2 });
    // The lease was renewed at least once after the early answer.
    expect(performance.now() - taken).toBeGreaterThan(250);
    expect(runs).toBe(1);
  });

  it('has no body when the handler answers by itself, and is a refusal all the same when it throws one', async () => {
    const app = await launch();
    await answeredEarly(app, '/late/answering');
    expectProblem(await afterTheRun(app, '/late/answering'), 409, 'result-not-replayable');
    expect(runs).toBe(1);

    const other = await launch();
    gate = new Gate();
    runs = 0;
    await answeredEarly(other, '/late/answering', { throws: true });
    const refused = await afterTheRun(other, '/late/answering', { throws: true });
    expect([refused.status, refused.json]).toEqual([409, { code: 'PAID' }]);
    expect(runs).toBe(1);
  });
});
