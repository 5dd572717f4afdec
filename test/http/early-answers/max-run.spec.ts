import { Controller, Post, Res, StreamableFile } from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { Idempotent, IdempotentOp, IdempotentOperation, type IdempotentOptions } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { once } from 'node:events';
import { request, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { platforms, start } from '../support/apps.js';
import { eventually } from '../support/eventually.js';
import { expectProblem, expectReplayOf, send } from '../support/requests.js';

/** Short for a lease, and long enough that a busy machine does not lose one that is renewed. */
const TERMS = { lease: '600ms', maxRun: '600ms', storageTimeout: '200ms' } as const;

let gate = new Gate();
let attempts: number[] = [];
let signals: AbortSignal[] = [];

function ordersWith(options: IdempotentOptions) {
  @Controller('orders')
  class Orders {
    @Post()
    @Idempotent({ ...TERMS, ...options })
    async create(@IdempotentOp() op: IdempotentOperation) {
      attempts.push(op.attempt);
      signals.push(op.signal);
      if (op.attempt === 1) await gate.pass();
      return { attempt: op.attempt };
    }
  }
  return { controllers: [Orders] };
}

describe.each(platforms)('a handler that runs longer than `maxRun` on %s', (platform) => {
  beforeEach(() => {
    gate = new Gate();
    attempts = [];
    signals = [];
  });

  it('is told by `op.signal`, another attempt may run, and its own late answer is superseded', async () => {
    const app = await start(platform, ordersWith({}));
    const late = send(app, '/orders', { key: 'k', body: {} });
    await gate.reached();
    expectProblem(await send(app, '/orders', { key: 'k', body: {} }), 409, 'key-in-progress');
    await once(signals[0] as AbortSignal, 'abort');

    const second = await send(app, '/orders', { key: 'k', body: {} });
    expect(second.json).toEqual({ attempt: 2 });
    gate.open();
    const first = await late;

    expect([first.status, first.json]).toEqual([201, { attempt: 1 }]);
    expect(first.headers.get('idempotency-status')).toBe('superseded');
    expect(first.headers.get('idempotency-expires')).toBeNull();
    expectReplayOf(second, await send(app, '/orders', { key: 'k', body: {} }));
    expect(attempts).toEqual([1, 2]);
  });

  it("with `onAbandoned: 'refuse'` is not run beside itself, and its late answer is recorded after all", async () => {
    const app = await start(platform, ordersWith({ onAbandoned: 'refuse' }));
    const late = send(app, '/orders', { key: 'k', body: {} });
    await gate.reached();
    await once(signals[0] as AbortSignal, 'abort');

    expectProblem(await send(app, '/orders', { key: 'k', body: {} }), 409, 'outcome-unknown');
    gate.open();
    const first = await late;

    expect(first.headers.get('idempotency-status')).toBeNull();
    expectReplayOf(first, await send(app, '/orders', { key: 'k', body: {} }));
    expect(attempts).toEqual([1]);
  });

  it('learns at the latest then that its response is closed, when it waits for nothing else', async () => {
    let heard: Promise<unknown[]> | undefined;
    let signal: AbortSignal | undefined;
    @Controller('waiting')
    class Waiting {
      @Post()
      @Idempotent(TERMS)
      async create(
        @IdempotentOp() op: IdempotentOperation,
        @Res() reply: ServerResponse | { raw: ServerResponse },
      ) {
        signal = op.signal;
        heard = once('raw' in reply ? reply.raw : reply, 'close');
        await gate.pass();
      }
    }
    const app = await start(platform, { controllers: [Waiting] });
    const headers = { 'Idempotency-Key': 'k' };
    const leaving = request(`${app.url}/waiting`, { method: 'POST', agent: false, headers });
    leaving.on('error', () => {}).end();
    await gate.reached();
    leaving.destroy();

    await heard;
    expect(signal?.aborted).toBe(true);
    gate.open();
  });

  it('learns at once that its client leaves when that comes after it', async () => {
    let heard: Promise<unknown[]> | undefined;
    @Controller('waiting')
    class Waiting {
      @Post()
      @Idempotent(TERMS)
      async create(
        @IdempotentOp() op: IdempotentOperation,
        @Res() reply: ServerResponse | { raw: ServerResponse },
      ) {
        signals.push(op.signal);
        heard = once('raw' in reply ? reply.raw : reply, 'close');
        await gate.pass();
      }
    }
    const app = await start(platform, { controllers: [Waiting] });
    const headers = { 'Idempotency-Key': 'k' };
    const leaving = request(`${app.url}/waiting`, { method: 'POST', agent: false, headers });
    leaving.on('error', () => {}).end();
    await gate.reached();
    await once(signals[0] as AbortSignal, 'abort');
    leaving.destroy();

    await heard;
    gate.open();
  });

  it('ends a stream for nobody: its client is gone, and it would never come to its end', async () => {
    let ended = false;
    async function* endless(): AsyncGenerator<string> {
      try {
        for (;;) {
          await sleep(50);
          yield 'still here ';
        }
      } finally {
        ended = true;
      }
    }
    @Controller('streams')
    class Streams {
      @Post()
      @Idempotent(TERMS)
      async create(@IdempotentOp() op: IdempotentOperation) {
        signals.push(op.signal);
        await gate.pass();
        return new StreamableFile(Readable.from(endless(), { objectMode: false }));
      }
    }
    const app = await start(platform, { controllers: [Streams] });
    const headers = { 'Idempotency-Key': 'k' };
    const leaving = request(`${app.url}/streams`, { method: 'POST', agent: false, headers });
    leaving.on('error', () => {}).end();
    await gate.reached();
    leaving.destroy();
    gate.open();

    await once(signals[0] as AbortSignal, 'abort');
    await eventually(() => expect(ended).toBe(true));
  });

  it('for a client that is gone, too: its late outcome leaves the record to its successor', async () => {
    const app = await start(platform, ordersWith({}));
    const leaving = request(`${app.url}/orders`, {
      method: 'POST',
      agent: false,
      headers: { 'Idempotency-Key': 'k', 'Content-Type': 'application/json', 'Content-Length': '2' },
    });
    leaving.on('error', () => {});
    leaving.end('{}');
    await gate.reached();
    leaving.destroy();
    await once(signals[0] as AbortSignal, 'abort');

    const second = await send(app, '/orders', { key: 'k', body: {} });
    expect(second.json).toEqual({ attempt: 2 });
    gate.open();

    await eventually(async () => expectReplayOf(second, await send(app, '/orders', { key: 'k', body: {} })));
    expect(attempts).toEqual([1, 2]);
  });
});
