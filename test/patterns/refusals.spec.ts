import { Controller, Param, Post } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import {
  CommandReusedError,
  expectedVersion,
  Idempotent,
  IdempotencyService,
  VersionConflictError,
  VersionMissingError,
  type RefusalError,
} from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { of, throwError } from 'rxjs';
import { PROBLEMS } from '../../libs/idempotency/src/http/problem-details.js';
import { CREATE, message, startConsumer } from '../transports/support/tcp-consumer.js';
import { platforms, start } from '../http/support/apps.js';
import { expectProblem, expectReplayOf, retryAfter, send } from '../http/support/requests.js';

const REFUSALS: Record<string, () => RefusalError> = {
  'version-conflict': () => new VersionConflictError(3, 5),
  'version-missing': () => new VersionMissingError(),
  'version-ambiguous': () => {
    try {
      return expectedVersion('"1"', 2) as never;
    } catch (error) {
      return error as RefusalError;
    }
  },
  'command-reused': () => new CommandReusedError(),
};
const refusals = Object.entries(REFUSALS);
const refusalOf = (code: string): RefusalError => (REFUSALS[code] as () => RefusalError)();

let runs = 0;

@Controller()
class Refusing {
  @Post('plain/:code')
  plain(@Param('code') code: string): never {
    throw refusalOf(code);
  }

  @Post('async/:code')
  @Idempotent()
  async later(@Param('code') code: string): Promise<never> {
    runs += 1;
    throw refusalOf(code);
  }

  @Post('sync/:code')
  @Idempotent()
  now(@Param('code') code: string): never {
    throw refusalOf(code);
  }

  @Post('observable/:code')
  @Idempotent({ required: false })
  observable(@Param('code') code: string) {
    return Promise.resolve(code === '' ? of(1) : throwError(() => refusalOf(code)));
  }
}

describe.each(platforms)('a refusal of the work on %s', (platform) => {
  it.each(refusals)('is a problem wherever it is thrown: %s', async (code, refusal) => {
    const docsUrl = 'https://docs.example.com/errors';
    const app = await start(platform, { controllers: [Refusing], options: { docsUrl } });
    const { status } = PROBLEMS[code as keyof typeof PROBLEMS];

    expect(refusal().statusCode).toBe(status);
    for (const place of ['plain', 'async', 'sync', 'observable']) {
      const refused = await send(app, `/${place}/${code}`, { key: `${place}-${code}` });
      expectProblem(refused, status, code);
      expect(refused.json.detail).toBe(refusal().message);
      expect(refused.headers.get('link')).toBe(`<${docsUrl}#${code}>; rel="help"`);
    }
    expectProblem(await send(app, `/observable/${code}`), status, code);
  });

  it('is kept like any other 4xx: the same key gets it again without a run', async () => {
    const app = await start(platform, { controllers: [Refusing] });
    const first = await send(app, '/async/version-conflict', { key: 'k' });
    const before = runs;

    expectReplayOf(first, await send(app, '/async/version-conflict', { key: 'k' }));
    expect(runs).toBe(before);
  });

  it('has its status also where no interceptor of ours comes', async () => {
    const app = await start(platform, { controllers: [Refusing], options: { interceptor: 'decorated' } });
    const refused = await send(app, '/plain/version-conflict');
    expect([refused.status, refused.json.message]).toEqual([412, refusalOf('version-conflict').message]);
  });
});

describe('a refusal of the work that a message asked for', () => {
  it('reaches the client with its code, and again without a run', async () => {
    let ran = 0;
    const app = await startConsumer(() => {
      ran += 1;
      throw refusalOf('version-conflict');
    });

    const refused = { error: expect.objectContaining({ code: 'version-conflict', status: 412 }) };
    expect(await app.send(CREATE, message)).toEqual(refused);
    expect(await app.send(CREATE, message)).toEqual(refused);
    expect(ran).toBe(1);
  });
});

describe.each(platforms)('a lock in a handler on %s', (platform) => {
  const controllerOver = (work: () => Promise<unknown>) => {
    @Controller('orders')
    class Orders {
      constructor(private readonly idempotency: IdempotencyService) {}

      @Post('plain')
      plain() {
        return this.idempotency.withLock('user:ada', {}, work);
      }

      @Post()
      @Idempotent()
      async create() {
        return { made: await this.idempotency.withLock('user:ada', {}, work) };
      }
    }
    Reflect.defineMetadata('design:paramtypes', [IdempotencyService], Orders);
    return Orders;
  };

  it('that somebody else holds is 409 lock-held with Retry-After, and is not kept: the same key may run later', async () => {
    const gate = new Gate();
    const app = await start(platform, { controllers: [controllerOver(() => gate.pass().then(() => 'it'))] });
    const first = send(app, '/orders', { key: 'first' });
    await gate.reached();

    for (const path of ['/orders', '/orders/plain']) {
      const refused = await send(app, path, { key: 'second' });
      expectProblem(refused, 409, 'lock-held');
      expect(retryAfter(refused)).toBeGreaterThanOrEqual(1);
    }
    gate.open();
    expect((await first).json).toEqual({ made: 'it' });
    const second = await send(app, '/orders', { key: 'second' });
    expect([second.status, second.json]).toEqual([201, { made: 'it' }]);
  });

  it('is not reentrant: who holds it and asks for it again is refused', async () => {
    const app = await start(platform, {});
    const service = app.app.get(IdempotencyService);
    const nested = service.withLock('user:ada', {}, () => service.withLock('user:ada', {}, () => 'never'));
    await expect(nested).rejects.toMatchObject({ code: 'lock-held' });
    expect(await service.withLock('user:ada', {}, () => 'free')).toBe('free');
  });

  it('is refused without a name, and with durations in milliseconds', async () => {
    const service = (await start(platform, {})).app.get(IdempotencyService);
    const mistakes = [
      service.withLock('', {}, () => 'never'),
      service.withLock('a', { lease: 30_000 }, () => 'never'),
      service.withLock('a', { wait: 5000 }, () => 'never'),
    ];
    for (const mistake of mistakes) await expect(mistake).rejects.toMatchObject({ code: 'invalid-options' });
  });
});
