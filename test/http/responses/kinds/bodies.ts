import { Controller, Get, Header, HttpCode, Post, StreamableFile } from '@nestjs/common';
import { IdempotentOp, IdempotentOperation } from 'nestjs-idempotent';
import { createReadStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { Once } from '../handler-runs.js';
import type { Group } from '../kind.js';
import { breaksOff } from '../early-retries.js';

/** Every byte there is, so that nothing that takes them for text goes unseen. */
const BYTES = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
const FILE = fileURLToPath(import.meta.url);

async function* later<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) {
    await new Promise((resolve) => setImmediate(resolve));
    yield item;
  }
}

async function* breakingOff(): AsyncGenerator<string> {
  yield* later(['the beginning']);
  throw new Error('and no end');
}

@Controller('bodies')
class BodiesController {
  @Post('buffer')
  @Header('Content-Type', 'application/octet-stream')
  @Once()
  buffer() {
    return new StreamableFile(BYTES);
  }

  @Post('plain-buffer')
  @Once()
  plainBuffer() {
    return BYTES;
  }

  @Post('described')
  @Once()
  described() {
    return new StreamableFile(BYTES, {
      type: 'image/png',
      disposition: 'attachment; filename="a.png"',
      length: 256,
    });
  }

  @Post('file')
  @Once()
  file() {
    return new StreamableFile(createReadStream(FILE), { type: 'text/plain' });
  }

  @Post('file-with-length')
  @Once()
  fileWithLength() {
    const bytes = Buffer.alloc(200_000, 'abc');
    return new StreamableFile(Readable.from([bytes.subarray(0, 70_000), bytes.subarray(70_000)]), {
      length: 200_000,
      type: 'text/plain',
    });
  }

  @Post('chunks')
  @Once()
  chunks() {
    return new StreamableFile(Readable.from(later(['one, ', Buffer.from('two, '), 'drei: ä'])), {
      type: 'text/plain; charset=utf-8',
    });
  }

  @Post('no-chunks')
  @Once()
  noChunks() {
    return new StreamableFile(Readable.from([]));
  }

  @Post('missing-file')
  @Once()
  missingFile() {
    return new StreamableFile(createReadStream('/nowhere/at/all'));
  }

  @Post('breaking')
  @Once()
  breaking(@IdempotentOp() op: IdempotentOperation) {
    op.setResource('export', 'e-1');
    return new StreamableFile(Readable.from(breakingOff()));
  }

  @Get('file-to-read')
  @Once()
  fileToRead() {
    return new StreamableFile(BYTES, { type: 'image/png' });
  }

  @Post('readable')
  @Once()
  readable() {
    return Readable.from(later(['one ', 'two']));
  }

  @Post('generator')
  @Once()
  async *generator() {
    yield* later([{ line: 1 }, { line: 2 }]);
  }

  @Post('web-stream')
  @Once()
  webStream() {
    return ReadableStream.from(later([new TextEncoder().encode('web '), new TextEncoder().encode('stream')]));
  }

  @Post('web-response')
  @Once()
  webResponse() {
    return new Response('made by fetch', { status: 203, headers: { 'x-from': 'Response' } });
  }

  @Post('web-response-without-body')
  @Once()
  webResponseWithoutBody() {
    return new Response(null, { status: 204, headers: { 'x-from': 'Response' } });
  }

  @Post('encoded')
  @Header('Content-Type', 'text/plain')
  @Header('Content-Encoding', 'gzip')
  @HttpCode(200)
  @Once()
  encoded() {
    return new StreamableFile(gzipSync('encoded by the handler'), { type: 'text/plain' });
  }

  @Post('ranged')
  @Header('Content-Range', 'bytes 0-3/256')
  @HttpCode(206)
  @Once()
  ranged() {
    return new StreamableFile(BYTES.subarray(0, 4), { type: 'text/plain' });
  }
}

const latin1 = (bytes: Buffer) => bytes.toString('utf8');

export const bodies: Group = {
  title: 'Bytes and streams',
  controllers: [BodiesController],
  kinds: [
    { name: 'a StreamableFile of a Buffer', path: '/bodies/buffer', status: 201, answers: latin1(BYTES) },
    { name: 'a Buffer', path: '/bodies/plain-buffer', status: 201 },
    {
      name: 'a StreamableFile with type, disposition and length',
      path: '/bodies/described',
      status: 201,
      answers: latin1(BYTES),
      has: { 'content-type': 'image/png', 'content-disposition': 'attachment; filename="a.png"' },
    },
    {
      name: 'a StreamableFile of a file',
      path: '/bodies/file',
      status: 201,
      answers: /FILE = fileURLToPath/,
    },
    {
      name: 'a StreamableFile of a stream with a length',
      path: '/bodies/file-with-length',
      status: 201,
      answers: /^(abc)+a?b?$/,
    },
    {
      name: 'a StreamableFile in several chunks, without a length,',
      path: '/bodies/chunks',
      status: 201,
      answers: 'one, two, drei: ä',
      has: { 'transfer-encoding': 'chunked' },
    },
    { name: 'a StreamableFile without a chunk', path: '/bodies/no-chunks', status: 201, answers: '' },
    {
      name: 'a StreamableFile of a file that is missing',
      path: '/bodies/missing-file',
      status: { express: 400, fastify: 500 },
      // Its error page is marked as encoded, and is not.
      brokenWithoutUs: ({ platform, compressed }) => platform === 'fastify' && compressed,
    },
    {
      name: 'a StreamableFile that breaks off, with its connection,',
      path: '/bodies/breaking',
      status: 201,
      on: 'express',
      retry: breaksOff('export e-1'),
    },
    {
      name: 'the error page of a StreamableFile that breaks off',
      path: '/bodies/breaking',
      status: 500,
      on: 'fastify',
      // It cuts the connection, because the status is out already.
      brokenWithoutUs: () => true,
    },
    {
      name: 'a StreamableFile for HEAD',
      method: 'HEAD',
      path: '/bodies/file-to-read',
      status: 200,
      answers: '',
      has: { 'content-length': '256' },
    },
    { name: 'a node stream', path: '/bodies/readable', status: 201, answers: 'one two' },
    {
      name: 'an async generator',
      path: '/bodies/generator',
      status: 201,
      answers: '{"line":1}\n{"line":2}\n',
      has: { 'content-type': 'application/x-ndjson' },
    },
    { name: 'a web stream', path: '/bodies/web-stream', status: 201, answers: 'web stream' },
    {
      name: 'a Response of fetch',
      path: '/bodies/web-response',
      status: 203,
      answers: 'made by fetch',
      has: { 'x-from': 'Response' },
    },
    {
      name: 'a Response of fetch without a body',
      path: '/bodies/web-response-without-body',
      status: 204,
      answers: '',
      has: { 'x-from': 'Response' },
    },
    {
      name: 'a body that the handler has encoded',
      path: '/bodies/encoded',
      status: 200,
      answers: 'encoded by the handler',
      has: { 'content-encoding': 'gzip' },
      encodesItself: true,
    },
    {
      name: 'a part of a body (206)',
      path: '/bodies/ranged',
      status: 206,
      has: { 'content-range': 'bytes 0-3/256' },
    },
  ],
};
