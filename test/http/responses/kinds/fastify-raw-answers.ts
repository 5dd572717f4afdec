import { Controller, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { Once } from '../handler-runs.js';
import type { Group, Kind } from '../kind.js';

@Controller('reply')
class FastifyRawAnswersController {
  @Post('raw-end')
  @Once()
  rawEnd(@Res() reply: FastifyReply) {
    reply.raw.statusCode = 202;
    reply.raw.setHeader('Content-Type', 'text/plain');
    reply.raw.end('past the hooks');
  }

  @Post('raw-write-head')
  @Once()
  rawWriteHead(@Res() reply: FastifyReply) {
    reply.raw
      .writeHead(202, 'Taken', [
        'Content-Type',
        'text/plain',
        'X-Mixed-CASE',
        'Kept',
        'Link',
        '<a>',
        'Link',
        '<b>',
      ])
      .end('past the hooks');
  }

  @Post('raw-write-head-pairs')
  @Once()
  rawWriteHeadPairs(@Res() reply: FastifyReply) {
    const pairs = [
      ['content-type', 'text/plain'],
      ['content-length', '5'],
    ];
    reply.raw.writeHead(202, pairs as never).end('pairs');
  }

  @Post('raw-writes')
  @Once()
  rawWrites(@Res() reply: FastifyReply) {
    reply.raw.setHeader('content-type', 'text/plain');
    reply.raw.write('one ');
    setImmediate(() => reply.raw.end('two'));
  }

  @Post('raw-pipeline')
  @Once()
  async rawPipeline(@Res() reply: FastifyReply) {
    reply.raw.setHeader('content-type', 'text/plain');
    await pipeline(Readable.from(['one ', 'two']), reply.raw);
  }

  @Post('raw-finished')
  @Once()
  async rawFinished(@Res() reply: FastifyReply) {
    void reply.send({ awaited: 'until it is out' });
    await finished(reply.raw);
  }

  @Post('raw-once')
  @Once()
  async rawOnce(@Res() reply: FastifyReply) {
    const out = once(reply.raw, 'finish');
    void reply.send({ awaited: 'by an event' });
    await out;
  }

  @Post('hijack')
  @Once()
  hijack(@Res() reply: FastifyReply) {
    reply.hijack();
    reply.raw.writeHead(202, { 'content-type': 'text/plain', 'content-length': '8' }).end('hijacked');
  }
}

export const fastifyRawAnswers: Group = {
  title: 'Answers of the handler itself past Fastify',
  controllers: [FastifyRawAnswersController],
  kinds: (
    [
      {
        name: 'reply.raw.end()',
        path: '/reply/raw-end',
        status: 202,
        answers: 'past the hooks',
      },
      {
        name: 'reply.raw.writeHead() and end()',
        path: '/reply/raw-write-head',
        status: 202,
        answers: 'past the hooks',
        has: { 'x-mixed-case': 'Kept', link: '<a>, <b>' },
      },
      {
        name: 'reply.raw.writeHead() with pairs',
        path: '/reply/raw-write-head-pairs',
        status: 202,
        answers: 'pairs',
      },
      {
        name: 'reply.raw.write() and end()',
        path: '/reply/raw-writes',
        status: 201,
        answers: 'one two',
      },
      {
        name: 'await pipeline(stream, reply.raw)',
        path: '/reply/raw-pipeline',
        status: 201,
        answers: 'one two',
      },
      {
        name: 'await finished(reply.raw)',
        path: '/reply/raw-finished',
        status: 201,
        answers: /until it is out/,
      },
      {
        name: "await once(reply.raw, 'finish')",
        path: '/reply/raw-once',
        status: 201,
        answers: /by an event/,
      },
      { name: 'reply.hijack()', path: '/reply/hijack', status: 202, answers: 'hijacked' },
    ] satisfies Kind[]
  ).map((kind) => ({ ...kind, on: 'fastify' as const })),
};
