import { Controller, Post, UseInterceptors, type NestInterceptor } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { Idempotent, IdempotentOp, IdempotentOperation } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { connect } from 'node:net';
import { of, timeout } from 'rxjs';
import { platforms } from '../support/apps.js';
import { eventually } from '../support/eventually.js';
import { expectProblem } from '../support/requests.js';
import { form } from './support/multipart.js';
import { oneFile, others, parts, serve } from './support/upload-controllers.js';

describe.each(platforms)('an upload that is interrupted, on %s', (platform) => {
  const Upload = oneFile(platform);

  it('by a timeout while its handler runs keeps its lease, and the first retry gets what was returned', async () => {
    const gate = new Gate();
    let runs = 0;
    @Controller('files')
    class Files {
      @Post()
      @Idempotent()
      @UseInterceptors(Upload, { intercept: (_context, next) => next.handle().pipe(timeout(50)) })
      async upload() {
        runs += 1;
        await gate.pass();
        return { id: runs };
      }
    }
    const { post } = await serve(platform, Files);

    const early = await post();
    expect(early.status).toBe(500);
    expectProblem(await post(), 409, 'key-in-progress');
    expectProblem(await post(others), 422, 'key-reused');
    gate.open();
    await eventually(async () => expect((await post()).status).toBe(201));
    const late = await post();

    expect(late.json).toEqual({ id: 1 });
    expect(late.headers.get('idempotent-replayed')).toBe('true');
    expect(runs).toBe(1);
  });

  it('by a timeout before the storage has answered gives its claim back, and a retry runs as the first', async () => {
    let runs = 0;
    @Controller('files')
    class Files {
      @Post()
      @Idempotent({ storageTimeout: '5s' })
      @UseInterceptors({ intercept: (_context, next) => next.handle().pipe(timeout(50)) }, Upload)
      upload(@IdempotentOp() op: IdempotentOperation) {
        runs += 1;
        return { attempt: op.attempt };
      }
    }
    const { post, storage } = await serve(platform, Files);
    const gate = storage.holdAnswer('claim', 2);

    const early = await post();
    expect({ status: early.status, runs }).toEqual({ status: 500, runs: 0 });
    gate.open();
    await eventually(() => expect(storage.calls('release')).not.toHaveLength(0));

    await eventually(async () => expect((await post()).json).toEqual({ attempt: 1 }));
    expect(runs).toBe(1);
  });

  it('by its client, who leaves before it is all there, has claimed nothing', async () => {
    let runs = 0;
    @Controller('files')
    class Files {
      @Post()
      @Idempotent()
      @UseInterceptors(Upload)
      upload() {
        return { id: (runs += 1) };
      }
    }
    const { app, post, storage } = await serve(platform, Files);
    const { body, headers } = form(parts, 'b');
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    const head = [
      'POST /files HTTP/1.1',
      'Host: test',
      'Idempotency-Key: k',
      `Content-Type: ${headers['Content-Type']}`,
      'Content-Length: 1000',
    ];
    await new Promise<void>((resolve) =>
      socket.write(`${head.join('\r\n')}\r\n\r\n${String(body).slice(0, 60)}`, () => resolve()),
    );
    socket.destroy();

    await eventually(async () => expect((await post()).json).toEqual({ id: 1 }));
    expect(storage.calls('claim')).toHaveLength(1);
    expect(storage.calls('release')).toHaveLength(0);
    expect(runs).toBe(1);
  });

  it('by an interceptor inside that answers in the handler’s place is not recorded', async () => {
    let answers = 0;
    @Controller('files')
    class Files {
      @Post()
      @Idempotent()
      @UseInterceptors(Upload, new Cached(() => (answers += 1)))
      upload() {
        throw new Error('not reached');
      }
    }
    const { post, storage } = await serve(platform, Files);

    expect((await post()).json).toEqual({ cached: 1 });
    expect((await post()).json).toEqual({ cached: 2 });
    expect(storage.calls('claim')).toHaveLength(0);
  });
});

class Cached implements NestInterceptor {
  constructor(private readonly count: () => number) {}
  intercept() {
    return of({ cached: this.count() });
  }
}
