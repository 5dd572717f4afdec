import { Controller, Post, Res, StreamableFile } from '@nestjs/common';
import type { Response } from 'express';
import type { FastifyReply } from 'fastify';
import { IdempotentOp, IdempotentOperation, type Resource } from 'nestjs-idempotent';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { AnyResponse } from '../any-response.js';
import { Once } from '../handler-runs.js';
import type { Group } from '../kind.js';
import { isNotReplayable, isRebuilt, replayed } from '../retries.js';

const LIMIT = 1_000;
const replayWith = ({ id }: Resource) => ({ id, items: ['x'.repeat(LIMIT)] });

/** `count` chunks, each in a turn of its own, so that a writer that is never woken again is seen. */
async function* chunks(count: number, size: number): AsyncGenerator<Buffer> {
  for (let index = 0; index < count; index += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    yield Buffer.alloc(size, `${index % 10}`);
  }
}

@Controller('sizes')
class SizesController {
  @Post('object')
  @Once({ maxResponseBytes: LIMIT })
  object(@IdempotentOp() op: IdempotentOperation) {
    op.setResource('order', 7);
    return { id: '7', items: ['x'.repeat(LIMIT)] };
  }

  @Post('unnamed')
  @Once({ maxResponseBytes: LIMIT })
  unnamed() {
    return 'x'.repeat(LIMIT + 1);
  }

  @Post('just')
  @Once({ maxResponseBytes: LIMIT })
  just() {
    return 'x'.repeat(LIMIT);
  }

  @Post('just-streamed')
  @Once({ maxResponseBytes: LIMIT })
  justStreamed() {
    return new StreamableFile(Readable.from(chunks(10, LIMIT / 10)));
  }

  @Post('none')
  @Once({ maxResponseBytes: 0 })
  none(@IdempotentOp() op: IdempotentOperation) {
    op.setResource('export', 'e-1');
    return new StreamableFile(Readable.from(chunks(3, 10)), { type: 'text/plain' });
  }

  @Post('none-at-all')
  @Once({ maxResponseBytes: 0 })
  noneAtAll(): void {}

  @Post('streamed')
  @Once({ maxResponseBytes: LIMIT })
  streamed(@IdempotentOp() op: IdempotentOperation) {
    op.setResource('export', 'e-1');
    return new StreamableFile(Readable.from(chunks(100, LIMIT - 1)), { type: 'text/plain' });
  }

  @Post('streamed-with-length')
  @Once({ maxResponseBytes: LIMIT })
  streamedWithLength(@IdempotentOp() op: IdempotentOperation) {
    op.setResource('export', 'e-1');
    const length = 40 * 70_000;
    return new StreamableFile(Readable.from(chunks(40, 70_000)), { type: 'text/plain', length });
  }

  @Post('piped')
  @Once({ maxResponseBytes: LIMIT })
  piped(@IdempotentOp() op: IdempotentOperation, @Res() response: Response) {
    op.setResource('export', 'e-1');
    Readable.from(chunks(100, LIMIT - 1)).pipe(response.type('text/plain'));
  }

  @Post('pipelined')
  @Once({ maxResponseBytes: LIMIT })
  async pipelined(@IdempotentOp() op: IdempotentOperation, @Res() response: Response) {
    op.setResource('export', 'e-1');
    await pipeline(Readable.from(chunks(20, 70_000)), response.type('text/plain'));
  }

  @Post('raw-piped')
  @Once({ maxResponseBytes: LIMIT })
  rawPiped(@IdempotentOp() op: IdempotentOperation, @Res() reply: FastifyReply) {
    op.setResource('export', 'e-1');
    reply.raw.setHeader('content-type', 'text/plain');
    Readable.from(chunks(100, LIMIT - 1)).pipe(reply.raw);
  }

  @Post('rebuilt')
  @Once({ maxResponseBytes: LIMIT, replayWith })
  rebuilt(@IdempotentOp() op: IdempotentOperation) {
    op.setResource('order', '7');
    return replayWith({ type: 'order', id: '7' });
  }

  @Post('rebuilt-file')
  @Once({
    maxResponseBytes: LIMIT,
    replayWith: () => new StreamableFile(Readable.from(chunks(100, LIMIT - 1)), { type: 'text/plain' }),
  })
  rebuiltFile(@IdempotentOp() op: IdempotentOperation) {
    op.setResource('export', 'e-1');
    return new StreamableFile(Readable.from(chunks(100, LIMIT - 1)), { type: 'text/plain' });
  }

  @Post('rebuilt-own')
  @Once({ maxResponseBytes: LIMIT, replayWith })
  rebuiltOwn(@IdempotentOp() op: IdempotentOperation, @Res() response: AnyResponse) {
    op.setResource('order', '7');
    response.status(202).send(replayWith({ type: 'order', id: '7' }));
  }

  @Post('error')
  @Once({ maxResponseBytes: 10 })
  error(@IdempotentOp() op: IdempotentOperation) {
    op.setResource('order', 7);
    return { price: 10n };
  }
}

export const sizes: Group = {
  title: 'Answers larger than `maxResponseBytes`',
  controllers: [SizesController],
  kinds: [
    {
      name: 'an answer above the limit',
      path: '/sizes/object',
      status: 201,
      answers: /^\{"id":"7","items":\["x{1000}"\]\}$/,
      retry: isNotReplayable('order 7'),
    },
    {
      name: 'an answer above the limit without a resource',
      path: '/sizes/unnamed',
      status: 201,
      retry: isNotReplayable('cannot be sent again'),
    },
    {
      name: 'an answer of just the limit',
      path: '/sizes/just',
      status: 201,
      answers: /^x{1000}$/,
      retry: replayed,
    },
    { name: 'a stream of just the limit', path: '/sizes/just-streamed', status: 201, answers: /^0{100}1+/ },
    {
      name: 'a stream with the limit 0',
      path: '/sizes/none',
      status: 201,
      answers: '0'.repeat(10) + '1'.repeat(10) + '2'.repeat(10),
      retry: isNotReplayable('export e-1'),
    },
    { name: 'an empty answer with the limit 0', path: '/sizes/none-at-all', status: 201, answers: '' },
    {
      name: 'a stream above the limit in small chunks',
      path: '/sizes/streamed',
      status: 201,
      answers: /^0{999}1{999}[0-9]*9{999}$/,
      retry: isNotReplayable('export e-1'),
    },
    {
      name: 'a stream above the limit in large chunks, with a length,',
      path: '/sizes/streamed-with-length',
      status: 201,
      answers: /^0+1+[0-9]*9+$/,
      retry: isNotReplayable('export e-1'),
    },
    {
      name: 'a stream above the limit that the handler pipes',
      path: '/sizes/piped',
      status: 201,
      answers: /^0{999}1{999}[0-9]*9{999}$/,
      on: 'express',
      retry: isNotReplayable('export e-1'),
    },
    {
      name: 'a stream above the limit that the handler pipes and awaits',
      path: '/sizes/pipelined',
      status: 201,
      answers: /^0+1+[0-9]*9+$/,
      on: 'express',
      retry: isNotReplayable('export e-1'),
    },
    {
      name: 'a stream above the limit to reply.raw',
      path: '/sizes/raw-piped',
      status: 201,
      answers: /^0{999}1{999}[0-9]*9{999}$/,
      on: 'fastify',
      retry: isNotReplayable('export e-1'),
    },
    {
      name: 'an answer above the limit with `replayWith`',
      path: '/sizes/rebuilt',
      status: 201,
      answers: /^\{"id":"7","items":\["x{1000}"\]\}$/,
      retry: isRebuilt,
    },
    {
      name: 'an own answer above the limit with `replayWith`',
      path: '/sizes/rebuilt-own',
      status: 202,
      answers: /^\{"id":"7","items":\["x{1000}"\]\}$/,
      retry: isRebuilt,
    },
    {
      name: 'a file above the limit with `replayWith`',
      path: '/sizes/rebuilt-file',
      status: 201,
      answers: /^0{999}1{999}/,
      retry: isRebuilt,
    },
    {
      name: 'the error page of a value that JSON does not know, above the limit,',
      path: '/sizes/error',
      status: 500,
      retry: isNotReplayable('order 7'),
    },
  ],
};
