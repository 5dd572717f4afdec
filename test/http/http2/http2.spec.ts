import { Controller, Post, Res, StreamableFile, UseInterceptors } from '@nestjs/common';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { FastifyReply } from 'fastify';
import { Idempotent, IdempotencyModule, memoryStorage } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { once } from 'node:events';
import {
  connect,
  constants,
  type ClientHttp2Session,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
} from 'node:http2';
import { request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { around } from '../responses/around.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../../support/free-port.js';
import { selfSigned } from '../../support/self-signed.js';

let gate = new Gate();
let runs = 0;

async function* parts(count: number, size: number): AsyncGenerator<Buffer> {
  for (let index = 0; index < count; index += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    yield Buffer.alloc(size, `${index % 10}`);
  }
}

let reasonsAsked = 0;
/** Node warns once per process, so the question is counted and not the warning. */
const watchingReasons = around((next, context) => {
  const { raw } = context.switchToHttp().getResponse<FastifyReply>();
  Object.defineProperty(raw, 'statusMessage', { get: () => ((reasonsAsked += 1), '') });
  return next.handle();
});

@Controller('orders')
class Orders {
  @Post()
  @Idempotent()
  create() {
    return { run: ++runs };
  }

  @Post('held')
  @Idempotent()
  async held() {
    runs += 1;
    await gate.pass();
    return new StreamableFile(Readable.from(parts(20, 1000), { objectMode: false }), { type: 'text/plain' });
  }

  @Post('raw')
  @Idempotent()
  async raw(@Res() reply: FastifyReply) {
    runs += 1;
    void reply.hijack();
    await gate.pass();
    reply.raw.writeHead(202, { 'content-type': 'text/plain', 'x-made': 'by hand' });
    await pipeline(Readable.from(parts(20, 1000), { objectMode: false }), reply.raw);
  }

  @Post('asked')
  @UseInterceptors(watchingReasons)
  @Idempotent()
  asked() {
    return { run: ++runs };
  }

  @Post('asked-raw')
  @UseInterceptors(watchingReasons)
  @Idempotent()
  askedRaw(@Res() reply: FastifyReply) {
    void reply.hijack();
    reply.raw.end(`${++runs}`);
  }

  @Post('large')
  @Idempotent({ maxResponseBytes: 100_000 })
  large() {
    runs += 1;
    return new StreamableFile(Readable.from(parts(40, 50_000), { objectMode: false }));
  }

  @Post('broken')
  @Idempotent()
  broken(@Res() reply: FastifyReply) {
    runs += 1;
    void reply.hijack();
    reply.raw.write('half of it');
    reply.raw.destroy();
  }

  @Post('pushing')
  @Idempotent()
  pushing(@Res({ passthrough: true }) reply: FastifyReply) {
    runs += 1;
    const raw = reply.raw as unknown as Http2ServerResponse;
    raw.createPushResponse({ ':path': '/style.css' }, (error, push) => {
      if (error) throw error;
      push.end('body {}');
    });
    return { pushed: true };
  }
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

describe('Fastify over HTTP/2', () => {
  let app: NestFastifyApplication | undefined;
  let url = '';
  const sessions: ClientHttp2Session[] = [];

  beforeEach(() => {
    gate = new Gate();
    runs = 0;
    reasonsAsked = 0;
  });
  afterEach(async () => {
    for (const session of sessions.splice(0)) session.destroy();
    await app?.close();
  });

  const tls = selfSigned();
  async function launch(options: object): Promise<void> {
    const testing = await Test.createTestingModule({
      imports: [IdempotencyModule.forRoot({ storage: memoryStorage() })],
      controllers: [Orders],
    }).compile();
    app = testing.createNestApplication<NestFastifyApplication>(
      new FastifyAdapter({ http2: true, ...options }),
      {
        logger: false,
      },
    );
    const port = await freePort();
    await app.listen(port, '127.0.0.1');
    url = `${'https' in options ? 'https' : 'http'}://127.0.0.1:${port}`;
  }

  function session(): ClientHttp2Session {
    const opened = connect(url, { rejectUnauthorized: false });
    sessions.push(opened);
    return opened;
  }

  const post = (over: ClientHttp2Session, path: string, key = 'k') =>
    over.request({ ':method': 'POST', ':path': path, 'idempotency-key': key }, { endStream: true });

  async function ask(over: ClientHttp2Session, path: string, key?: string): Promise<Answer> {
    const stream = post(over, path, key);
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }];
    return { status: headers[':status'], headers, body: await text(stream) };
  }

  async function askOverHttp1(path: string): Promise<Answer> {
    const options = {
      method: 'POST',
      agent: false,
      headers: { 'Idempotency-Key': 'k' },
      rejectUnauthorized: false,
    };
    const outgoing = request(url + path, options);
    outgoing.end();
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
  }

  it('with TLS replays to clients of HTTP/2 and HTTP/1.1 what was recorded over either', async () => {
    await launch({ https: { ...tls, allowHTTP1: true } });
    const first = await ask(session(), '/orders');
    const over1 = await askOverHttp1('/orders');
    const over2 = await ask(session(), '/orders');

    expect([first.status, first.body]).toEqual([201, '{"run":1}']);
    for (const replay of [over1, over2]) {
      expect([replay.status, replay.body, replay.headers['idempotent-replayed']]).toEqual([
        201,
        '{"run":1}',
        'true',
      ]);
      expect(replay.headers['content-type']).toBe(first.headers['content-type']);
    }
    expect(runs).toBe(1);

    const held = askOverHttp1('/orders/held');
    gate.open();
    const stream = await ask(session(), '/orders/held').then(async (answer) =>
      answer.status === 409 ? held.then(() => ask(session(), '/orders/held')) : answer,
    );
    expect(stream.body).toBe((await held).body);
    expect(runs).toBe(2);
  });

  it('gets a stream that its client resets recorded whole, while others of the session go on', async () => {
    await launch({});
    const shared = session();
    const leaving = post(shared, '/orders/held');
    leaving.on('error', () => {});
    await gate.reached();
    leaving.close(constants.NGHTTP2_CANCEL);
    await once(leaving, 'close');
    expect((await ask(shared, '/orders', 'other')).status).toBe(201);
    gate.open();

    let answer = await ask(shared, '/orders/held');
    await eventually(async () => {
      if (answer.status === 409) answer = await ask(shared, '/orders/held');
      expect(answer.status).toBe(201);
    });
    expect(answer.headers['idempotent-replayed']).toBe('true');
    expect(answer.body).toHaveLength(20_000);
    expect(runs).toBe(2);
  });

  it('gets what its handler writes to a stream that is reset recorded with its head', async () => {
    await launch({});
    const shared = session();
    const leaving = post(shared, '/orders/raw');
    leaving.on('error', () => {});
    await gate.reached();
    leaving.close(constants.NGHTTP2_CANCEL);
    await once(leaving, 'close');
    gate.open();

    let answer = await ask(shared, '/orders/raw');
    await eventually(async () => {
      if (answer.status === 409) answer = await ask(shared, '/orders/raw');
      expect(answer.status).toBe(202);
    });
    expect([answer.headers['content-type'], answer.headers['x-made']]).toEqual(['text/plain', 'by hand']);
    expect(answer.headers['idempotent-replayed']).toBe('true');
    expect(answer.body).toHaveLength(20_000);
    expect(runs).toBe(1);
  });

  it('gets what a session left behind recorded, too', async () => {
    await launch({});
    const leaving = session();
    leaving.on('error', () => {});
    post(leaving, '/orders/held').on('error', () => {});
    await gate.reached();
    leaving.destroy();
    gate.open();

    let answer = await ask(session(), '/orders/held');
    await eventually(async () => {
      if (answer.status === 409) answer = await ask(session(), '/orders/held');
      expect(answer.status).toBe(201);
    });
    expect(answer.body).toHaveLength(20_000);
    expect(runs).toBe(1);
  });

  it('sends an answer above the limit whole, however slowly its client reads', async () => {
    await launch({});
    const stream = post(session(), '/orders/large');
    await once(stream, 'response');
    stream.pause();
    await new Promise((resolve) => setImmediate(resolve));
    stream.resume();

    expect((await buffer(stream)).length).toBe(2_000_000);
    const again = await ask(session(), '/orders/large');
    expect([again.status, JSON.parse(again.body)]).toMatchObject([409, { code: 'result-not-replayable' }]);
    expect(runs).toBe(1);
  });

  it('does not run again what its handler broke off', async () => {
    await launch({});
    const stream = post(session(), '/orders/broken');
    stream.on('error', () => {});
    await once(stream, 'close');

    let again = await ask(session(), '/orders/broken');
    await eventually(async () => {
      if (again.body.includes('key-in-progress')) again = await ask(session(), '/orders/broken');
      expect(JSON.parse(again.body)).toMatchObject({ code: 'result-not-replayable' });
    });
    expect(runs).toBe(1);
  });

  it.each(['asked', 'asked-raw'])(
    'is never asked for a reason phrase, of which node warns: %s',
    async (path) => {
      await launch({});
      const over = session();
      const first = await ask(over, `/orders/${path}`);
      const again = await ask(over, `/orders/${path}`);

      expect([again.status, again.body]).toEqual([first.status, first.body]);
      expect(again.headers['idempotent-replayed']).toBe('true');
      expect(reasonsAsked).toBe(0);
    },
  );

  it('pushes with the first answer alone', async () => {
    await launch({});
    const over = session();
    const pushed: unknown[] = [];
    over.on('stream', (push, headers) => {
      pushed.push(headers[':path']);
      push.resume();
    });
    const first = await ask(over, '/orders/pushing');
    const again = await ask(over, '/orders/pushing');

    expect([again.status, again.body]).toEqual([first.status, first.body]);
    expect(again.headers['idempotent-replayed']).toBe('true');
    await eventually(() => expect(pushed).toEqual(['/style.css']));
    expect(runs).toBe(1);
  });
});
