import { Controller, Post, Res, StreamableFile } from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { Idempotent } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { once } from 'node:events';
import { request, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { platforms, start, type RunningApp } from '../support/apps.js';
import { eventually } from '../support/eventually.js';
import { expectProblem, send, type Received } from '../support/requests.js';

let gate = new Gate();
let runs = 0;
let sources = 0;

async function* pieces(pauseMs: number): AsyncGenerator<string> {
  sources += 1;
  try {
    for (const piece of ['one ', 'two ', 'three']) {
      await sleep(pauseMs);
      yield piece;
    }
  } finally {
    sources -= 1;
  }
}

async function* stuck(): AsyncGenerator<string> {
  yield 'one ';
  await new Promise(() => {});
}

const made = <T>(make: () => T): Promise<T> => {
  runs += 1;
  return gate.pass().then(make);
};
const file = (source: AsyncGenerator<string>) =>
  new StreamableFile(Readable.from(source, { objectMode: false }));

@Controller('streams')
class Streams {
  @Post('value')
  @Idempotent()
  value() {
    return made(() => 'one two three');
  }

  @Post('file')
  @Idempotent()
  file() {
    return made(() => file(pieces(10)));
  }

  /** Each piece comes within a second, and the whole does not. */
  @Post('slow')
  @Idempotent()
  slow() {
    return made(() => file(pieces(600)));
  }

  @Post('stuck')
  @Idempotent()
  stuck() {
    return made(() => file(stuck()));
  }

  @Post('bare')
  @Idempotent()
  bare() {
    return made(() => pieces(10));
  }

  @Post('piped')
  @Idempotent()
  async piped(@Res() response: ServerResponse | { raw: ServerResponse }) {
    await made(() => Readable.from(pieces(10)).pipe('raw' in response ? response.raw : response));
  }
}

describe.each(platforms)('for a client that has left, on %s,', (platform) => {
  beforeEach(() => {
    gate = new Gate();
    runs = 0;
    sources = 0;
  });

  const launch = (onSocket: (socket: Socket) => void = () => {}) =>
    start(platform, {
      controllers: [Streams],
      prepare: (app) => void (app.getHttpServer() as Socket).on('connection', onSocket),
    });

  /** What a retry gets when the first one is not running any more. */
  async function afterwards(app: RunningApp, path: string): Promise<Received> {
    let answer = await send(app, path, { key: 'k' });
    await eventually(async () => {
      if (answer.json?.code === 'key-in-progress') answer = await send(app, path, { key: 'k' });
      expect(answer.json?.code).not.toBe('key-in-progress');
    });
    return answer;
  }

  async function leave(app: RunningApp, path: string): Promise<void> {
    const headers = { 'Idempotency-Key': 'k' };
    const leaving = request(app.url + path, { method: 'POST', agent: false, headers });
    leaving.on('error', () => {}).end();
    await gate.reached();
    leaving.destroy();
  }

  const post = (path: string, key: string): string =>
    `POST ${path} HTTP/1.1\r\nHost: test\r\nIdempotency-Key: ${key}\r\nContent-Length: 0\r\n\r\n`;

  /** Leaves while the answer waits behind another one for its turn on the connection. */
  async function leaveInTheQueue(app: RunningApp, path: string): Promise<void> {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    socket.write(post('/streams/value', 'first of the queue') + post(path, 'k'));
    await eventually(() => expect(runs).toBe(2));
    socket.destroy();
    await once(socket, 'close');
  }

  const ways = [
    ['leaves', leave, 1],
    ['leaves a pipeline of requests', leaveInTheQueue, 2],
  ] as const;

  describe.each(ways)('who %s while the handler runs,', (_how, leaving, expectedRuns) => {
    it.each(['value', 'file', 'piped', 'slow'])('an answer is recorded whole: %s', async (path) => {
      const app = await launch();
      await leaving(app, `/streams/${path}`);
      gate.open();
      const answer = await afterwards(app, `/streams/${path}`);

      expect([answer.status, answer.text, answer.headers.get('idempotent-replayed')]).toEqual([
        201,
        'one two three',
        'true',
      ]);
      expect([runs, sources]).toEqual([expectedRuns, 0]);
    });

    it.each(['stuck', 'bare'])(
      'an answer that does not come is recorded without a body: %s',
      async (path) => {
        const app = await launch();
        await leaving(app, `/streams/${path}`);
        gate.open();

        expectProblem(await afterwards(app, `/streams/${path}`), 409, 'result-not-replayable');
        expect([runs, sources]).toEqual([expectedRuns, 0]);
      },
    );
  });

  it('and others, a connection with many requests in its queue has no more listeners than with one', async () => {
    const sockets: Socket[] = [];
    const warnings: string[] = [];
    const warn = (warning: Error) => warnings.push(warning.name);
    process.on('warning', warn);
    const app = await launch((socket) => sockets.push(socket));
    gate.open();
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    const listeners = async (count: number, name: string) => {
      const before = runs;
      socket.write(Array.from({ length: count }, (_, n) => post('/streams/value', `${name} ${n}`)).join(''));
      await eventually(() => expect(runs).toBe(before + count));
      // The answers are out when the connection has nothing left to say.
      await eventually(() => expect((sockets[0] as Socket).writableLength).toBe(0));
      await sleep(50);
      return (sockets[0] as Socket).listenerCount('close');
    };

    const one = await listeners(1, 'one');
    expect(await listeners(30, 'many')).toBe(one);
    socket.destroy();
    process.removeListener('warning', warn);
    expect(warnings).toEqual([]);
  });
});
