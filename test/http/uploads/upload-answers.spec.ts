import {
  Body,
  Controller,
  Header,
  HttpCode,
  Post,
  Req,
  Res,
  StreamableFile,
  UseInterceptors,
  ValidationPipe,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { IsNotEmpty } from 'class-validator';
import { Idempotent, IdempotentOp, IdempotentOperation } from 'nestjs-idempotent';
import { map } from 'rxjs';
import { platforms } from '../support/apps.js';
import { expectProblem, expectReplayOf } from '../support/requests.js';
import { file, title } from './support/two-apps.js';
import { oneFile, others, parts, serve } from './support/upload-controllers.js';

/** The few things that raw responses of both platforms have in common. */
interface AnyResponse {
  status(code: number): AnyResponse;
  header(name: string, value: string): AnyResponse;
  send(body: unknown): void;
}

interface WithFile {
  readonly file: { readonly buffer: Buffer };
}

class Around implements NestInterceptor {
  constructor(private readonly change: (value: unknown) => unknown) {}
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(map(this.change));
  }
}

describe.each(platforms)('the answer to an upload, on %s', (platform) => {
  const Upload = oneFile(platform);

  it('is replayed to the byte with its status and headers', async () => {
    let runs = 0;
    @Controller('files')
    class Files {
      @Post()
      @HttpCode(202)
      @Header('X-Kind', 'echo')
      @Header('Content-Type', 'application/octet-stream')
      @Idempotent()
      @UseInterceptors(Upload)
      echo(@Req() { file: { buffer } }: WithFile) {
        runs += 1;
        return new StreamableFile(Buffer.concat([buffer, Buffer.of(0, 255, 128)]));
      }
    }
    const { post } = await serve(platform, Files);

    const first = await post();
    const second = await post();

    expect(first.status).toBe(202);
    expectReplayOf(first, second);
    expect(second.headers.get('x-kind')).toBe('echo');
    expect(second.headers.get('content-type')).toBe('application/octet-stream');
    expectProblem(await post(others), 422, 'key-reused');
    expect(runs).toBe(1);
  });

  it.each([true, false])('is replayed for a handler with @Res(), passthrough: %s', async (passthrough) => {
    let runs = 0;
    @Controller('files')
    class Files {
      @Post()
      @Idempotent()
      @UseInterceptors(Upload)
      upload(@Req() { file: { buffer } }: WithFile, @Res({ passthrough }) response: AnyResponse) {
        runs += 1;
        const body = { read: buffer.toString() };
        response.status(203).header('X-Runs', String(runs));
        if (passthrough) return body;
        response.send(body);
        return undefined;
      }
    }
    const { post } = await serve(platform, Files);

    const first = await post();
    const second = await post();

    expect({ status: first.status, json: first.json }).toEqual({ status: 203, json: { read: 'one' } });
    expectReplayOf(first, second);
    expect(second.headers.get('x-runs')).toBe('1');
    expectProblem(await post(others), 422, 'key-reused');
    expect(runs).toBe(1);
  });

  it('is replayed as it was, whatever interceptors around the handler make of a value that is not there', async () => {
    let runs = 0;
    @Controller('files')
    class Files {
      @Post()
      @Idempotent()
      @UseInterceptors(new Around((value) => ({ wrapped: (value as { id: string }).id })), Upload)
      upload() {
        return { id: `file-${(runs += 1)}` };
      }
    }
    const { post } = await serve(platform, Files);

    const first = await post();

    expect(first.json).toEqual({ wrapped: 'file-1' });
    expectReplayOf(first, await post());
    expectReplayOf(first, await post());
    expect(runs).toBe(1);
  });

  it('is a validation error before it is a replay, and the record stays', async () => {
    class Form {
      @IsNotEmpty()
      title!: string;
    }
    let runs = 0;
    @Controller('files')
    class Files {
      @Post()
      @Idempotent()
      @UseInterceptors(Upload)
      upload(@Body(new ValidationPipe()) _form: Form) {
        return { id: `file-${(runs += 1)}` };
      }
    }
    const { post } = await serve(platform, Files);

    expect((await post([title(''), file()])).status).toBe(400);
    const first = await post();
    expect((await post([title(''), file()])).status).toBe(400);

    expectReplayOf(first, await post());
    expect(runs).toBe(1);
  });

  it('is rebuilt by `replayWith` where it was too large, and 409 without it', async () => {
    let runs = 0;
    const upload = (op: IdempotentOperation) => {
      op.setResource('file', `${(runs += 1)}`);
      return { id: runs, padding: 'x'.repeat(100) };
    };
    @Controller('files')
    class Files {
      @Post('rebuilt')
      @HttpCode(202)
      @Idempotent({ maxResponseBytes: 10, replayWith: ({ id }) => ({ rebuilt: id }) })
      @UseInterceptors(new Around((value) => ({ wrapped: value })), Upload)
      rebuilt(@IdempotentOp() op: IdempotentOperation) {
        return upload(op);
      }

      @Post('refused')
      @Idempotent({ maxResponseBytes: 10 })
      @UseInterceptors(Upload)
      refused(@IdempotentOp() op: IdempotentOperation) {
        return upload(op);
      }
    }
    const { post } = await serve(platform, Files);

    expect((await post(parts, '/files/rebuilt')).json.wrapped.id).toBe(1);
    const second = await post(parts, '/files/rebuilt');
    expect({ status: second.status, json: second.json }).toEqual({
      status: 202,
      json: { wrapped: { rebuilt: '1' } },
    });
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expectProblem(await post(others, '/files/rebuilt'), 422, 'key-reused');

    expect((await post(parts, '/files/refused')).status).toBe(201);
    const refused = await post(parts, '/files/refused');
    expectProblem(refused, 409, 'result-not-replayable');
    expect(refused.json.detail).toContain('file 2');
    expect(runs).toBe(2);
  });

  it('knows key, attempt and signal of its run', async () => {
    const seen: unknown[] = [];
    @Controller('files')
    class Files {
      @Post()
      @Idempotent()
      @UseInterceptors(Upload)
      upload(@IdempotentOp() op: IdempotentOperation) {
        const { key, attempt, takenOver, signal } = op;
        seen.push({ key, attempt, takenOver, aborted: signal.aborted, derived: op.deriveKey('a') });
        if (attempt === 1) throw new Error('once more');
        return {};
      }
    }
    const { post } = await serve(platform, Files);

    await post();
    await post();

    const derived = (seen[0] as { derived: string }).derived;
    expect(derived).toMatch(/^[0-9a-f-]{36}$/);
    const common = { key: 'k', takenOver: false, aborted: false, derived };
    expect(seen).toEqual([
      { attempt: 1, ...common },
      { attempt: 2, ...common },
    ]);
  });
});
