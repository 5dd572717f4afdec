import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fastifyCompress from '@fastify/compress';
import { Controller, Header, Post, Res, StreamableFile, type INestApplication } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import compression from 'compression';
import { Idempotent, IdempotencyModule, memoryStorage } from 'nestjs-idempotent';
import { randomUUID } from 'node:crypto';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { platforms, startApp, type Platform, type RunningApp } from '../../support/apps.js';

/** What clients accept, and none: no header at all. */
const ACCEPTS = [
  'gzip',
  'br',
  'deflate',
  'identity',
  '*',
  '*;q=0, gzip',
  'gzip;q=0',
  'br;q=0.1, gzip',
  'zstd',
  'none',
];
const ROUTES = ['json', 'text', 'stream', 'etag', 'raw'] as const;

@Controller('encodings')
class Encodings {
  @Post('json')
  @Idempotent()
  json() {
    return { items: Array.from({ length: 300 }, (_, index) => ({ index, name: `item ${index}` })) };
  }

  @Post('text')
  @Header('Content-Type', 'text/plain')
  @Idempotent()
  text() {
    return 'Schöne Grüße '.repeat(200);
  }

  @Post('stream')
  @Idempotent()
  stream() {
    return new StreamableFile(
      Readable.from(['one '.repeat(500), 'two '.repeat(500)], { objectMode: false }),
      {
        type: 'text/plain',
      },
    );
  }

  @Post('etag')
  @Header('ETag', '"of-the-handler"')
  @Header('Vary', 'X-Tenant')
  @Idempotent()
  etag() {
    return { tagged: 'x'.repeat(2000) };
  }

  /** On Fastify this passes by the compression, and so does its replay. */
  @Post('raw')
  @Idempotent()
  raw(@Res() response: ServerResponse | { raw: ServerResponse }) {
    const raw = 'raw' in response ? response.raw : response;
    raw.setHeader('Content-Type', 'text/plain');
    raw.end('raw '.repeat(500));
  }
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  readonly replayed: boolean;
}

async function ask({ url }: RunningApp, path: string, accept: string, key?: string): Promise<Answer> {
  const headers: Record<string, string> = {
    ...(accept === 'none' ? {} : { 'accept-encoding': accept }),
    ...(key === undefined ? {} : { 'idempotency-key': key }),
  };
  const outgoing = request(`${url}/encodings/${path}`, { method: 'POST', agent: false, headers });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const { date, connection, ...rest } = response.headers;
  expect([typeof date, typeof connection]).toEqual(['string', 'string']);
  const replayed = rest['idempotent-replayed'] === 'true';
  delete rest['idempotent-replayed'];
  delete rest['idempotency-expires'];
  const body = decode(Buffer.concat(chunks), rest['content-encoding']).toString();
  return { status: response.statusCode ?? 0, headers: rest, body, replayed };
}

function decode(bytes: Buffer, encoding: string | undefined): Buffer {
  if (encoding === undefined || encoding === 'identity') return bytes;
  if (encoding === 'gzip') return gunzipSync(bytes);
  if (encoding === 'br') return brotliDecompressSync(bytes);
  if (encoding === 'deflate') return inflateSync(bytes);
  throw new Error(`${encoding} was not asked for`);
}

async function compress(app: INestApplication, platform: Platform): Promise<void> {
  if (platform === 'express') app.use(compression({ threshold: 0 }));
  else await (app as NestFastifyApplication).register(fastifyCompress, { threshold: 0 });
}

describe.each(platforms)('behind compression on %s', (platform) => {
  let app: RunningApp;
  const bare = new Map<string, Answer>();
  beforeAll(async () => {
    const idempotency = IdempotencyModule.forRoot({ storage: memoryStorage(), required: false });
    app = await startApp(platform, { imports: [idempotency], controllers: [Encodings] }, (nest) =>
      compress(nest, platform),
    );
    for (const route of ROUTES) {
      for (const accept of ACCEPTS) bare.set(`${route} ${accept}`, await ask(app, route, accept));
    }
  });
  afterAll(() => app.close());

  let encodings: Set<unknown>;
  beforeEach(() => {
    encodings = new Set();
  });

  describe.each(ROUTES)('the answer of %s', (route) => {
    it.each(ACCEPTS)(
      'recorded for a client that accepts %s is for any other what it would have got first',
      async (first) => {
        const key = randomUUID();
        expect(await ask(app, route, first, key)).toEqual(bare.get(`${route} ${first}`));
        for (const accept of ACCEPTS) {
          const replay = await ask(app, route, accept, key);
          encodings.add(replay.headers['content-encoding']);
          expect({ accept, ...replay }).toEqual({
            accept,
            ...bare.get(`${route} ${accept}`),
            replayed: true,
          });
        }
        const passesBy = platform === 'fastify' && route === 'raw';
        expect(encodings.size).toBeGreaterThan(passesBy ? 0 : 2);
      },
    );
  });
});
