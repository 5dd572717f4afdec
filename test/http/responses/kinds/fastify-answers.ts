import { Controller, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Readable } from 'node:stream';
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
    void reply.type('text/plain').send({ text: 'is not sent as text' });
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
        name: 'an answer with header values that are no strings',
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
    ] satisfies Kind[]
  ).map((kind) => ({ ...kind, on: 'fastify' as const })),
};
