import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { Agent, createServer, type Server, type ServerResponse } from 'node:http';
import { RawResponseTap } from '../../../libs/idempotency/src/http/raw-response-tap.js';
import type {
  ResponseHead,
  ResponseJudge,
  Verdict,
} from '../../../libs/idempotency/src/http/response-tap.js';
import { freePort } from '../../support/free-port.js';
import { send, type Received } from './http-client.js';

const KEPT: Verdict = { kind: 'send', headers: [['Idempotency-Expires', 'then']] };

/** What a test does with the response of one request. */
type Handler = (response: ServerResponse, world: World) => void;

interface World {
  readonly asked: { question: string; head: ResponseHead; body?: string }[];
  readonly failures: unknown[];
  readonly events: string[];
  tap(verdict?: Verdict | Promise<Verdict>, limit?: number): RawResponseTap;
}

let server: Server;
let origin: string;
let handler: (response: ServerResponse) => void;
const agent = new Agent({ keepAlive: false });

beforeAll(async () => {
  server = createServer((_request, response) => handler(response));
  const port = await freePort();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${port}`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

/** `received` is undefined when the connection was cut. */
async function exchange(handle: Handler): Promise<{ received: Received | undefined; world: World }> {
  const asked: World['asked'] = [];
  const failures: unknown[] = [];
  const events: string[] = [];
  let world!: World;
  handler = (response) => {
    const tap: World['tap'] = (verdict = KEPT, limit = 1_000) => {
      const judge: ResponseJudge = {
        limit,
        ended: async (head, body) => {
          asked.push({ question: 'ended', head, body: body.toString() });
          return verdict;
        },
        tooLarge: async (head) => {
          asked.push({ question: 'tooLarge', head });
          return verdict;
        },
        awaited: () => events.push('awaited'),
        abandoned: () => events.push('abandoned'),
      };
      return new RawResponseTap(response, judge, (error) => failures.push(error));
    };
    world = { asked, failures, events, tap };
    handle(response, world);
  };
  const received = await send(origin, agent, { method: 'GET', path: '/' }).catch(() => undefined);
  return { received, world };
}

function bodyOf(received: Received | undefined): string | undefined {
  return received?.body.toString();
}

/** A verdict that comes when the test says so. */
function laterVerdict() {
  let decide!: (verdict: Verdict) => void;
  const verdict = new Promise<Verdict>((resolve) => (decide = resolve));
  return { verdict, decide };
}

describe('RawResponseTap', () => {
  it('shows what was written to the judge, and sends it with what the judge adds', async () => {
    const { received, world } = await exchange((response, { tap }) => {
      tap();
      response.setHeader('X-Mixed-CASE', 'kept');
      response.write('one ');
      response.end('two');
    });
    expect(bodyOf(received)).toBe('one two');
    expect(received?.header('idempotency-expires')).toBe('then');
    expect(world.asked).toEqual([
      {
        question: 'ended',
        body: 'one two',
        head: {
          status: 200,
          reason: undefined,
          headers: [['X-Mixed-CASE', 'kept']],
          removed: [],
          framing: 'pieces',
        },
      },
    ]);
  });

  it('lets nothing out, and looks as if it had, until the judge has decided', async () => {
    const { verdict, decide } = laterVerdict();
    const written: string[] = [];
    const { received } = await exchange((response, { tap }) => {
      const { end } = response;
      response.end = function (this: ServerResponse, ...args: unknown[]) {
        written.push('end');
        return Reflect.apply(end, this, args) as ServerResponse;
      } as typeof end;
      tap(verdict);
      response.end('body');
      expect([response.headersSent, response.writableEnded]).toEqual([true, true]);
      expect(() => response.setHeader('X-Late', '1')).toThrow(
        expect.objectContaining({ code: 'ERR_HTTP_HEADERS_SENT' }),
      );
      expect(() => response.writeHead(500)).toThrow(
        expect.objectContaining({ code: 'ERR_HTTP_HEADERS_SENT' }),
      );
      setImmediate(() => {
        expect(written).toEqual([]);
        decide(KEPT);
      });
    });
    expect(bodyOf(received)).toBe('body');
    expect(written).toEqual(['end']);
  });

  it('is seen by those who wrapped the response after it', async () => {
    const { received, world } = await exchange((response, { tap }) => {
      tap();
      const { write } = response;
      response.write = function (this: ServerResponse, chunk: string) {
        return Reflect.apply(write, this, [chunk.toUpperCase()]) as boolean;
      } as typeof write;
      response.write('loud');
      response.end();
    });
    expect(bodyOf(received)).toBe('LOUD');
    expect(world.asked).toMatchObject([{ body: 'LOUD' }]);
  });

  it('holds what two judges on one response hold, one inside the other', async () => {
    const { received } = await exchange((response, { tap }) => {
      tap({ kind: 'send', headers: [['X-Outer', '1']] });
      tap({ kind: 'send', headers: [['X-Inner', '1']] });
      response.end('body');
    });
    expect(bodyOf(received)).toBe('body');
    expect([received?.header('x-outer'), received?.header('x-inner')]).toEqual(['1', '1']);
  });

  it('ignores what is written after the end, and calls its callbacks', async () => {
    const called: string[] = [];
    const { received } = await exchange((response, { tap }) => {
      tap();
      response.end('first', () => called.push('end'));
      expect(response.write('more', () => called.push('write'))).toBe(false);
      response.end('second', () => called.push('second end'));
    });
    expect(bodyOf(received)).toBe('first');
    expect(called.sort()).toEqual(['end', 'second end', 'write']);
  });

  it('sends what there is when the judge fails, and says so', async () => {
    const error = new Error('a bug');
    const { received, world } = await exchange((response, { tap }) => {
      tap(Promise.reject(error));
      response.end('body');
    });
    expect(bodyOf(received)).toBe('body');
    expect(world.failures).toEqual([error]);
  });

  it('cuts the connection when sending fails, instead of leaving the client to wait', async () => {
    const error = new Error('of a middleware');
    const { received, world } = await exchange((response, { tap }) => {
      response.end = () => {
        throw error;
      };
      tap();
      response.end('body');
    });
    expect(received).toBeUndefined();
    expect(world.failures).toEqual([error]);
  });

  it('tells the judge that somebody waits for the end', async () => {
    const { world } = await exchange((response, { tap, events }) => {
      response.on('finish', () => {});
      tap();
      response.on('error', () => {});
      expect(events).toEqual([]);
      response.once('finish', () => {});
      response.on('close', () => {});
      response.end();
    });
    expect(world.events).toEqual(['awaited', 'awaited']);
  });

  it('tells the judge that somebody has destroyed it, and not that the client is gone after the end', async () => {
    const { received, world } = await exchange((response, { tap }) => {
      tap();
      response.write('some');
      response.destroy();
    });
    expect(received).toBeUndefined();
    expect(world.events).toEqual(['abandoned']);
    const whole = await exchange((response, { tap }) => {
      tap();
      response.end('body', () => response.destroy());
    });
    expect(whole.world.events).not.toContain('abandoned');
  });

  it('does nothing more for a handler that was answered for', async () => {
    const late: unknown[] = [];
    const { received } = await exchange((response, { tap }) => {
      tap({ kind: 'send', headers: [], deafAfter: true });
      response.once('finish', () => {
        response.statusCode = 201;
        late.push(response.setHeader('X-Late', '1') === response);
        late.push(response.removeHeader('X-Late'));
        late.push(response.writeHead(201) === response);
        late.push(response.write('late'));
        response.end('late', () => late.push('ended'));
      });
      response.end('timeout');
    });
    expect(bodyOf(received)).toBe('timeout');
    await new Promise((resolve) => setImmediate(resolve));
    expect(late).toEqual([true, expect.anything(), true, true, 'ended']);
  });

  it('lets all pass once somebody else has it', async () => {
    const { received, world } = await exchange((response, { tap }) => {
      tap().open();
      response.write('one ');
      response.end('two');
    });
    expect(bodyOf(received)).toBe('one two');
    expect(world.asked).toEqual([]);
  });

  describe('past the limit', () => {
    it('makes the writer wait for the judge, and wakes it', async () => {
      const { verdict, decide } = laterVerdict();
      const seen: unknown[] = [];
      const { received, world } = await exchange((response, { tap }) => {
        tap(verdict, 3);
        seen.push(response.write('one'), response.write(' two'));
        response.once('drain', () => {
          seen.push('drain');
          response.end(' three');
        });
        setImmediate(() => {
          seen.push('decided');
          decide(KEPT);
        });
      });
      expect(bodyOf(received)).toBe('one two three');
      expect(seen).toEqual([true, false, 'decided', 'drain']);
      expect(world.asked).toMatchObject([{ question: 'tooLarge' }]);
    });

    it('sends what has ended meanwhile', async () => {
      const { received } = await exchange((response, { tap }) => {
        tap(KEPT, 3);
        response.write('one two');
        response.end(' three');
      });
      expect(bodyOf(received)).toBe('one two three');
    });

    it('does nothing more for a handler that was answered for, once that answer has ended', async () => {
      const { received } = await exchange((response, { tap }) => {
        tap({ kind: 'send', headers: [], deafAfter: true }, 3);
        response.write('a long ');
        setImmediate(() => {
          response.end('timeout');
          response.write('late');
          response.setHeader('X-Late', '1');
        });
      });
      expect(bodyOf(received)).toBe('a long timeout');
    });
  });

  it('sends a recorded response in the place of whatever was written', async () => {
    const { received } = await exchange((response, { tap }) => {
      response.setHeader('X-Frame-Options', 'DENY');
      response.setHeader('X-Powered-By', 'us');
      tap({
        kind: 'replace',
        headers: [['Idempotent-Replayed', 'true']],
        response: {
          status: 202,
          reason: 'Taken',
          headers: [['Content-Type', 'text/plain']],
          removed: ['x-powered-by'],
          body: Buffer.from('recorded'),
          framing: 'whole',
        },
      });
      response.setHeader('Set-Cookie', 'of this exchange');
      response.writeHead(500, 'Oh no', { 'X-Outer': '1', ETag: '"other"' });
      response.end('thrown away');
    });
    expect(bodyOf(received)).toBe('recorded');
    const { status, reason, header } = received as Received;
    expect([status, reason]).toEqual([202, 'Taken']);
    expect(['x-frame-options', 'set-cookie', 'content-type', 'idempotent-replayed'].map(header)).toEqual([
      'DENY',
      'of this exchange',
      'text/plain',
      'true',
    ]);
    expect(['x-powered-by', 'x-outer', 'etag'].map(header)).toEqual([undefined, undefined, undefined]);
  });
});
