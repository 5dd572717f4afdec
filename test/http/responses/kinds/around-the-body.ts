import { Controller, Post, Res, StreamableFile } from '@nestjs/common';
import type { Response } from 'express';
import type { FastifyReply } from 'fastify';
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { Once } from '../handler-runs.js';
import type { Group } from '../kind.js';
import { isNotReplayable } from '../retries.js';

type EitherResponse = ServerResponse | { readonly raw: ServerResponse };
const rawOf = (response: EitherResponse): ServerResponse => ('raw' in response ? response.raw : response);

const hash = (body: string) => createHash('sha256').update(body).digest('hex');

@Controller('around')
class AroundTheBodyController {
  @Post('trailers')
  @Once()
  trailers(@Res() response: EitherResponse) {
    const raw = rawOf(response);
    raw.writeHead(200, { 'Content-Type': 'text/plain', Trailer: 'X-Sum, X-Count' });
    raw.write('one ');
    raw.write('two');
    raw.addTrailers({ 'X-Sum': hash('one two'), 'X-Count': '2' });
    raw.end();
  }

  @Post('trailers-at-once')
  @Once()
  trailersAtOnce(@Res() response: Response) {
    response.setHeader('Trailer', 'X-Sum');
    response.addTrailers([['X-Sum', hash('at once')]]);
    response.type('text/plain').end('at once');
  }

  @Post('reply-trailers')
  @Once()
  replyTrailers(@Res() reply: FastifyReply) {
    reply.trailer('x-sum', (_reply, payload, done) => done(null, hash(String(payload))));
    reply.trailer('x-later', async () => Promise.resolve('by a promise'));
    reply.trailer('x-removed', async () => Promise.resolve('never'));
    reply.removeTrailer('x-removed');
    void reply.send('summed up');
  }

  @Post('reply-trailers-of-a-stream')
  @Once()
  replyTrailersOfAStream(@Res({ passthrough: true }) reply: FastifyReply) {
    const sum = createHash('sha256');
    const parts = async function* () {
      for (const part of ['one ', 'two']) {
        await new Promise((resolve) => setImmediate(resolve));
        sum.update(part);
        yield part;
      }
    };
    reply.trailer('x-sum', async () => Promise.resolve(sum.digest('hex')));
    return new StreamableFile(Readable.from(parts(), { objectMode: false }));
  }

  @Post('trailers-too-large')
  @Once({ maxResponseBytes: 3 })
  trailersTooLarge(@Res() response: EitherResponse) {
    const raw = rawOf(response);
    raw.writeHead(200, { 'Content-Type': 'text/plain', Trailer: 'X-Sum' });
    raw.write('too large');
    setImmediate(() => {
      raw.addTrailers({ 'X-Sum': hash('too large') });
      raw.end();
    });
  }

  @Post('hints')
  @Once()
  async hints(@Res({ passthrough: true }) response: EitherResponse) {
    rawOf(response).writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
    await new Promise((resolve) => setImmediate(resolve));
    return { hinted: true };
  }

  @Post('processing')
  @Once()
  processing(@Res({ passthrough: true }) response: EitherResponse) {
    rawOf(response).writeProcessing();
    return { processed: true };
  }
}

export const aroundTheBody: Group = {
  title: 'Before the head and after the body',
  controllers: [AroundTheBodyController],
  kinds: [
    {
      name: 'trailers of the raw response',
      path: '/around/trailers',
      status: 200,
      answers: 'one two',
      has: { trailer: 'X-Sum, X-Count' },
      trailers: { 'x-sum': hash('one two'), 'x-count': '2' },
    },
    {
      name: 'trailers of a body that is there at once',
      path: '/around/trailers-at-once',
      status: 201,
      answers: 'at once',
      trailers: { 'x-sum': hash('at once') },
      on: 'express',
    },
    {
      name: 'reply.trailer()',
      path: '/around/reply-trailers',
      status: 201,
      answers: 'summed up',
      trailers: { 'x-sum': hash('summed up'), 'x-later': 'by a promise' },
      on: 'fastify',
      // @fastify/compress sets a Content-Length beside the chunks that trailers need.
      uncompressed: true,
    },
    {
      name: 'reply.trailer() after a stream',
      path: '/around/reply-trailers-of-a-stream',
      status: 201,
      answers: 'one two',
      trailers: { 'x-sum': hash('one two') },
      on: 'fastify',
    },
    {
      name: 'trailers of an answer above the limit',
      path: '/around/trailers-too-large',
      status: 200,
      answers: 'too large',
      trailers: { 'x-sum': hash('too large') },
      retry: isNotReplayable('cannot be sent again'),
    },
    {
      name: 'an answer after early hints (103)',
      path: '/around/hints',
      status: 201,
      answers: '{"hinted":true}',
      informs: [103],
    },
    {
      name: 'an answer after 102 Processing',
      path: '/around/processing',
      status: 201,
      answers: '{"processed":true}',
      informs: [102],
      over: 'HTTP/1.1',
    },
  ],
};
