import { Body, Controller, Get, HttpCode, Post, Res, StreamableFile } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { Idempotent } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { once } from 'node:events';
import { Agent, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { platforms, start, type RunningApp } from '../support/apps.js';

let runs = 0;
let gate = new Gate();

@Controller('orders')
class Orders {
  @Post()
  @Idempotent()
  create(@Body() body: unknown) {
    return { run: ++runs, body };
  }

  @Post('held')
  @Idempotent()
  async held() {
    await gate.pass();
    return { run: ++runs };
  }

  @Post('stream')
  @Idempotent()
  stream() {
    runs += 1;
    return new StreamableFile(Readable.from(['one ', 'two'], { objectMode: false }));
  }

  @Post('trailers')
  @HttpCode(200)
  @Idempotent()
  trailers(@Res() response: ServerResponse | { raw: ServerResponse }) {
    runs += 1;
    const raw = 'raw' in response ? response.raw : response;
    raw.setHeader('Trailer', 'X-Sum');
    raw.write('summed up');
    raw.addTrailers({ 'X-Sum': '1' });
    raw.end();
  }

  @Get('alive')
  alive() {
    return 'alive';
  }
}

interface Answer {
  readonly version: string;
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** One connection, and the answers that come over it one after another. */
async function converse({ url }: RunningApp, ...requests: readonly string[]): Promise<Answer[]> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(requests.join(''));
  await once(socket, 'close');
  return answersIn(Buffer.concat(chunks).toString('latin1'));
}

function answersIn(wire: string): Answer[] {
  const answers: Answer[] = [];
  for (let rest = wire; rest !== '';) {
    const end = rest.indexOf('\r\n\r\n');
    const head = rest.slice(0, end);
    const [, version = '', status = ''] = /^HTTP\/(\S+) (\d+)/.exec(head) ?? [];
    const [body, length] = bodyIn(head, Number(status), rest.slice(end + 4));
    answers.push({ version, status: Number(status), head: head.toLowerCase(), body });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}

function bodyIn(head: string, status: number, rest: string): [body: string, length: number] {
  if (status < 200) return ['', 0];
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined) return [rest.slice(0, Number(length)), Number(length)];
  if (!/transfer-encoding: chunked/i.test(head)) return [rest, rest.length];
  const end = /0\r\n(?:.+\r\n)*\r\n/.exec(rest) ?? ['', ''];
  const chunks = rest
    .slice(0, rest.indexOf(end[0]))
    .split('\r\n')
    .filter((_, index) => index % 2 === 1);
  return [chunks.join(''), rest.indexOf(end[0]) + end[0].length];
}

const post = (path: string, key: string, body = '', more: readonly string[] = []): string =>
  [
    `POST ${path} HTTP/1.1`,
    'Host: test',
    `Idempotency-Key: ${key}`,
    ...(body === '' ? [] : ['Content-Type: application/json']),
    `Content-Length: ${body.length}`,
    ...more,
    '',
    body,
  ].join('\r\n');
const LAST = ['Connection: close'];

describe.each(platforms)('one connection on %s', (platform) => {
  const launch = () => {
    runs = 0;
    gate = new Gate();
    return start(platform, { controllers: [Orders] });
  };

  it('carries a first answer, its replays and other requests, and stays open between them', async () => {
    const app = await launch();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    const ask = async (method: string, path: string, key?: string) => {
      const headers = key === undefined ? {} : { 'idempotency-key': key };
      const outgoing = request(app.url + path, { agent, method, headers });
      outgoing.once('socket', (socket) => sockets.add(socket)).end();
      const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
      const replayed = response.headers['idempotent-replayed'] === 'true';
      return `${response.statusCode} ${await text(response)}${replayed ? ' again' : ''}`;
    };

    expect(await ask('POST', '/orders', 'a')).toMatch(/^201 \{"run":1.*\}$/);
    expect(await ask('POST', '/orders', 'a')).toMatch(/^201 \{"run":1.*\} again$/);
    expect(await ask('POST', '/orders/stream', 's')).toBe('201 one two');
    expect(await ask('POST', '/orders/stream', 's')).toBe('201 one two again');
    expect(await ask('POST', '/orders/trailers', 't')).toBe('200 summed up');
    expect(await ask('POST', '/orders/trailers', 't')).toBe('200 summed up again');
    expect(await ask('GET', '/orders/alive')).toBe('200 alive');
    agent.destroy();
    expect(sockets.size).toBe(1);
    expect(runs).toBe(3);
  });

  it('that is pipelined gets its answers in order, also when a duplicate is decided before the first has run', async () => {
    const app = await launch();
    const conversation = converse(
      app,
      post('/orders/held', 'h'),
      post('/orders/held', 'h'),
      post('/orders', 'b', '{}'),
      post('/orders', 'b', '{}', LAST),
    );
    await gate.reached();
    // All four have been read by the time that another connection is answered.
    await converse(app, 'GET /orders/alive HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n');
    gate.open();
    const [first, duplicate, other, replay] = await conversation;

    // Nobody but the handler that was held last knows its number.
    expect(first).toMatchObject({ status: 201, body: `{"run":${runs}}` });
    expect(duplicate).toMatchObject({ status: 409 });
    expect(duplicate?.body).toContain('key-in-progress');
    expect(other).toMatchObject({ status: 201, body: '{"run":1,"body":{}}' });
    expect(other?.status === 201 && [201, 409].includes(replay?.status ?? 0)).toBe(true);
    expect(runs).toBe(2);
  });

  it('of an HTTP/1.0 client gets a stream, and its replay, without chunks', async () => {
    const app = await launch();
    const old = post('/orders/stream', 'o').replace('HTTP/1.1', 'HTTP/1.0');
    const [first] = await converse(app, old);
    const [again] = await converse(app, old);

    expect([first?.body, again?.body]).toEqual(['one two', 'one two']);
    expect(again?.head).toContain('idempotent-replayed: true');
    expect(again?.head).not.toContain('transfer-encoding');
    expect(runs).toBe(1);
  });

  it('of an HTTP/1.0 client gets the body of an answer that was recorded with trailers', async () => {
    const app = await launch();
    const [first] = await converse(app, post('/orders/trailers', 't', '', LAST));
    const [again] = await converse(app, post('/orders/trailers', 't').replace('HTTP/1.1', 'HTTP/1.0'));

    expect([first?.status, first?.body]).toEqual([200, 'summed up']);
    expect([again?.status, again?.body]).toEqual([200, 'summed up']);
    expect(first?.head).toContain('trailer: x-sum');
    expect(again?.head).not.toContain('trailer');
  });

  it('that expects 100-continue is told to go on, for a first answer and for a replay', async () => {
    const app = await launch();
    const expecting = post('/orders', 'e', '{"n":1}', ['Expect: 100-continue', ...LAST]);
    const first = await converse(app, expecting);
    const again = await converse(app, expecting);

    expect(first.map(({ status }) => status)).toEqual([100, 201]);
    expect(again.map(({ status }) => status)).toEqual([100, 201]);
    expect(again[1]?.body).toBe(first[1]?.body);
    expect(runs).toBe(1);
  });

  it('that closes after its request still gets the whole answer', async () => {
    const app = await launch();
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.end(post('/orders/stream', 'half', '', LAST));
    await once(socket, 'close');

    expect(answersIn(Buffer.concat(chunks).toString('latin1'))).toMatchObject([
      { status: 201, body: 'one two' },
    ]);
  });
});
