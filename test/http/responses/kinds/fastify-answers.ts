import { Controller, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { Once } from '../handler-runs.js';
import type { Group, Kind } from '../kind.js';

@Controller('reply')
class FastifyAnswersController {
  @Post('send')
  @Once()
  send(@Res() reply: FastifyReply) {
    reply.code(202).send({ sent: 'by the handler' });
  }

  @Post('return-send')
  @Once()
  returnSend(@Res() reply: FastifyReply) {
    return reply.code(202).send({ returned: 'the reply' });
  }

  @Post('await-send')
  @Once()
  async awaitSend(@Res() reply: FastifyReply) {
    await reply.send({ awaited: 'the reply' });
  }

  @Post('send-later')
  @Once()
  sendLater(@Res() reply: FastifyReply) {
    setImmediate(() => setImmediate(() => void reply.send({ sent: 'after the handler returned' })));
  }

  @Post('send-text')
  @Once()
  sendText(@Res() reply: FastifyReply) {
    void reply.type('text/html').send('<p>ü</p>');
  }

  @Post('send-buffer')
  @Once()
  sendBuffer(@Res() reply: FastifyReply) {
    void reply.send(Buffer.from([0, 255, 128]));
  }

  @Post('send-nothing')
  @Once()
  sendNothing(@Res() reply: FastifyReply) {
    void reply.code(200).send();
  }

  @Post('send-stream')
  @Once()
  sendStream(@Res() reply: FastifyReply) {
    void reply.type('text/plain').send(Readable.from(['one ', 'two']));
  }

  @Post('send-web-stream')
  @Once()
  sendWebStream(@Res() reply: FastifyReply) {
    void reply.type('text/plain').send(new Blob(['web stream']).stream());
  }

  @Post('send-response')
  @Once()
  sendResponse(@Res() reply: FastifyReply) {
    void reply.send(new Response('made by fetch', { status: 203, headers: { 'x-from': 'Response' } }));
  }

  @Post('send-response-alone')
  @Once()
  sendResponseAlone(@Res() reply: FastifyReply) {
    void reply.send(new Response(null, { status: 202, headers: { 'x-from': 'Response' } }));
  }

  @Post('send-typed')
  @Once()
  sendTyped(@Res() reply: FastifyReply) {
    void reply.send(new Uint16Array([1, 2, 3]));
  }

  @Post('header-values')
  @Once()
  headerValues(@Res() reply: FastifyReply) {
    void reply.headers({ 'x-true': true, 'x-seven': 7, 'x-list': ['a', 'b'] } as never).send({});
  }

  @Post('send-invalid')
  @Once()
  sendInvalid(@Res() reply: FastifyReply) {
    void reply.type('text/plain').send({ text: 'is not sent as text' } as never);
  }

  @Post('redirect')
  @Once()
  redirect(@Res() reply: FastifyReply) {
    void reply.redirect('/orders/1', 303);
  }

  @Post('passthrough')
  @Once()
  passthrough(@Res({ passthrough: true }) reply: FastifyReply) {
    reply.code(202).header('X-Set', 'by passthrough');
    return { sent: 'by Nest' };
  }

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
      .writeHead(202, ['Content-Type', 'text/plain', 'X-Mixed-CASE', 'Kept', 'Link', '<a>', 'Link', '<b>'])
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

export const fastifyAnswers: Group = {
  title: 'Answers of the handler itself, on Fastify',
  controllers: [FastifyAnswersController],
  kinds: (
    [
      { name: 'reply.send()', path: '/reply/send', status: 202, answers: '{"sent":"by the handler"}' },
      {
        name: 'return reply.send()',
        path: '/reply/return-send',
        status: 202,
        answers: '{"returned":"the reply"}',
      },
      {
        name: 'await reply.send()',
        path: '/reply/await-send',
        status: 201,
        answers: '{"awaited":"the reply"}',
      },
      {
        name: 'reply.send() after the handler returned',
        path: '/reply/send-later',
        status: 201,
        answers: /after/,
      },
      { name: 'reply.send() of text', path: '/reply/send-text', status: 201, answers: '<p>ü</p>' },
      { name: 'reply.send() of a Buffer', path: '/reply/send-buffer', status: 201 },
      { name: 'reply.send() of nothing', path: '/reply/send-nothing', status: 200, answers: '' },
      { name: 'reply.send() of a stream', path: '/reply/send-stream', status: 201, answers: 'one two' },
      {
        name: 'reply.send() of a web stream',
        path: '/reply/send-web-stream',
        status: 201,
        answers: 'web stream',
      },
      {
        name: 'reply.send() of a Response of fetch',
        path: '/reply/send-response',
        status: 203,
        answers: 'made by fetch',
        has: { 'x-from': 'Response' },
      },
      {
        name: 'reply.send() of a Response of fetch without a body',
        path: '/reply/send-response-alone',
        status: 202,
        answers: '',
        has: { 'x-from': 'Response' },
      },
      { name: 'reply.send() of a typed array', path: '/reply/send-typed', status: 201 },
      {
        name: 'header values that are no strings',
        path: '/reply/header-values',
        status: 201,
        has: { 'x-true': 'true', 'x-seven': '7', 'x-list': 'a, b' },
      },
      { name: 'reply.send() of what cannot be sent', path: '/reply/send-invalid', status: 500 },
      { name: 'reply.redirect()', path: '/reply/redirect', status: 303, has: { location: '/orders/1' } },
      {
        name: '@Res({ passthrough: true }) of Fastify',
        path: '/reply/passthrough',
        status: 202,
        answers: '{"sent":"by Nest"}',
        has: { 'x-set': 'by passthrough' },
      },
      {
        name: 'reply.raw.end()',
        path: '/reply/raw-end',
        status: 202,
        answers: 'past the hooks',
        pastHooks: true,
      },
      {
        name: 'reply.raw.writeHead() and end()',
        path: '/reply/raw-write-head',
        status: 202,
        answers: 'past the hooks',
        has: { 'x-mixed-case': 'Kept', link: '<a>, <b>' },
        pastHooks: true,
      },
      {
        name: 'reply.raw.writeHead() with pairs',
        path: '/reply/raw-write-head-pairs',
        status: 202,
        answers: 'pairs',
        pastHooks: true,
      },
      {
        name: 'reply.raw.write() and end()',
        path: '/reply/raw-writes',
        status: 201,
        answers: 'one two',
        pastHooks: true,
      },
      {
        name: 'await pipeline(stream, reply.raw)',
        path: '/reply/raw-pipeline',
        status: 201,
        answers: 'one two',
        pastHooks: true,
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
      { name: 'reply.hijack()', path: '/reply/hijack', status: 202, answers: 'hijacked', pastHooks: true },
    ] satisfies Kind[]
  ).map((kind) => ({ ...kind, on: 'fastify' as const })),
};
