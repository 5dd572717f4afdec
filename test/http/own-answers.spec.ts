import { Catch, Controller, Post, Res, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import {
  Idempotent,
  IdempotencyModule,
  IdempotentOp,
  IdempotentOperation,
  memoryStorage,
} from 'nestjs-idempotent';
import { platforms, startApp, type RunningApp } from '../support/apps.js';

/** What Express and Fastify have in common. */
interface Reply {
  status(code: number): Reply;
  send(body: unknown): unknown;
  readonly raw?: ServerResponse;
}

const raw = (reply: Reply): ServerResponse => reply.raw ?? (reply as unknown as ServerResponse);
let runs = 0;

@Controller('own')
class OwnAnswers {
  @Post('throws')
  @Idempotent()
  throws(@Res() reply: Reply): void {
    reply.status(201).send({ run: ++runs });
    throw new Error('after the answer');
  }

  @Post('changes')
  @Idempotent()
  changes(@Res() reply: Reply): void {
    reply.status(201).send({ run: ++runs });
    reply.status(418);
  }

  @Post('waits/:how')
  @Idempotent()
  async waits(@Res() reply: Reply): Promise<void> {
    reply.status(201).send({ run: ++runs });
    await new Promise((resolve) => raw(reply).addListener('finish', () => resolve(undefined)));
  }

  @Post('never')
  @Idempotent()
  async never(@Res() reply: Reply): Promise<void> {
    reply.status(201).send({ run: ++runs });
    await new Promise(() => {});
  }

  @Post('resource')
  @Idempotent()
  resource(@IdempotentOp() op: IdempotentOperation): unknown {
    op.setResource(10n as unknown as string, Symbol.iterator as unknown as string);
    return { run: ++runs };
  }
}

/** As many applications have one: whatever happens, it answers. */
@Catch()
class CatchAll implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost): void {
    host.switchToHttp().getResponse<Reply>().status(500).send({ from: 'the filter' });
  }
}

let app: RunningApp | undefined;
afterEach(async () => {
  await app?.close();
});

describe.each(platforms)('a handler that answers by itself on %s', (platform) => {
  const start = async () => {
    runs = 0;
    app = await startApp(
      platform,
      { imports: [IdempotencyModule.forRoot({ storage: memoryStorage() })], controllers: [OwnAnswers] },
      (nest) => void nest.useGlobalFilters(new CatchAll()),
    );
    return async (path: string) => {
      const response = await fetch(`${app?.url}/own/${path}`, {
        method: 'POST',
        headers: { 'idempotency-key': 'k' },
        signal: AbortSignal.timeout(4000),
      });
      return [response.status, await response.text(), response.headers.get('idempotent-replayed')];
    };
  };

  it.each([
    ['throws afterwards, with a filter that catches everything', 'throws'],
    ['changes the status afterwards', 'changes'],
    ['waits until its answer is out', 'waits/here'],
    ['never settles', 'never'],
    ['names a resource by values that are no text', 'resource'],
  ])('gives the answer that went out to every retry when it %s', async (_what, path) => {
    const post = await start();

    expect(await post(path)).toEqual([201, '{"run":1}', null]);
    expect(await post(path)).toEqual([201, '{"run":1}', 'true']);
    expect(runs).toBe(1);
  });
});
