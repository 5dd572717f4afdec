import { describe, expect, it } from '@jest/globals';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { FastifyResponseTap, type FastifyReplyLike } from './fastify-response-tap.js';
import type { RecordedResponse } from './recorded-response.js';
import type { ResponseHead, ResponseJudge, Verdict } from './response-tap.js';

/** A reply that keeps headers as Fastify does: by names in lower case. */
class FakeReply implements FastifyReplyLike {
  statusCode = 201;
  readonly raw = { statusMessage: '' };
  readonly trailer = () => this;
  readonly removeTrailer = () => this;
  readonly hijack = () => this;
  readonly headers = new Map<string, unknown>();

  code(status: number): void {
    this.statusCode = status;
  }
  header(name: string, value: unknown): void {
    this.headers.set(name.toLowerCase(), value);
  }
  removeHeader(name: string): void {
    this.headers.delete(name.toLowerCase());
  }
  getHeaders(): Record<string, unknown> {
    return Object.fromEntries(this.headers);
  }
}

const KEPT: Verdict = { kind: 'send', headers: [['idempotency-expires', 'then']] };

function tapped(verdict: Verdict | Error = KEPT, limit = 100) {
  const asked: { question: string; head: ResponseHead; body?: string }[] = [];
  const failures: unknown[] = [];
  const events: string[] = [];
  const answer = async () => {
    if (verdict instanceof Error) throw verdict;
    return verdict;
  };
  const judge: ResponseJudge = {
    limit,
    ended: (head, body) => {
      asked.push({ question: 'ended', head, body: body.toString() });
      return answer();
    },
    tooLarge: (head) => {
      asked.push({ question: 'tooLarge', head });
      return answer();
    },
    abandoned: () => events.push('abandoned'),
  };
  const reply = new FakeReply();
  reply.header('x-powered-by', 'us');
  const tap = new FastifyResponseTap(reply, judge, (error) => failures.push(error));
  tap.onTaken = ({ deafAfter }) => events.push(deafAfter ? 'taken, deaf after' : 'taken');
  return { tap, reply, asked, failures, events };
}

const recorded = (overrides: Partial<RecordedResponse> = {}): Verdict => ({
  kind: 'replace',
  headers: [['idempotent-replayed', 'true']],
  response: {
    status: 202,
    reason: 'Taken',
    headers: [['content-type', 'text/plain']],
    body: Buffer.from('recorded'),
    framing: 'whole',
    ...overrides,
  },
});

describe('FastifyResponseTap', () => {
  it.each([
    ['text', 'text', 'whole'],
    [Buffer.from('bytes'), 'bytes', 'whole'],
    ['', '', 'whole'],
    [undefined, '', 'none'],
    [null, '', 'none'],
  ])('shows the payload %j to the judge, and lets it pass as it is', async (payload, body, framing) => {
    const { tap, reply, asked, events } = tapped();
    expect(await tap.onSend(reply, payload)).toBe(payload);
    expect(asked).toEqual([
      { question: 'ended', body, head: expect.objectContaining({ status: 201, framing }) },
    ]);
    expect(reply.getHeaders()).toEqual({ 'x-powered-by': 'us', 'idempotency-expires': 'then' });
    expect(events).toEqual(['taken']);
  });

  it.each([
    ['a node stream', () => Readable.from(['one ', Buffer.from('two')])],
    ['a web stream', () => new Blob(['one ', 'two']).stream()],
    ['a stream of the old kind', () => ({ pipe: () => {}, ...oldStream(['one ', 'two']) })],
  ])('holds %s, and gives a stream with the same bytes', async (_what, stream) => {
    const { tap, reply, asked } = tapped();
    const sent = await tap.onSend(reply, stream());
    expect(sent).toBeInstanceOf(Readable);
    expect(await text(sent as Readable)).toBe('one two');
    expect(asked).toMatchObject([{ question: 'ended', body: 'one two', head: { framing: 'pieces' } }]);
  });

  it('takes a Response of fetch apart', async () => {
    const { tap, reply, asked } = tapped();
    const sent = await tap.onSend(reply, new Response('hello', { status: 203, headers: { 'X-A': '1' } }));
    expect(await text(sent as Readable)).toBe('hello');
    expect(asked).toMatchObject([{ body: 'hello', head: { status: 203 } }]);
    expect(reply.getHeaders()['x-a']).toBe('1');
  });

  it('asks once, so that the error page of a later hook passes', async () => {
    const { tap, reply, asked } = tapped();
    await tap.onSend(reply, 'first');
    expect(await tap.onSend(reply, 'error page')).toBe('error page');
    expect(asked).toHaveLength(1);
  });

  it('lets pass what cannot be sent, and waits for the answer that says so', async () => {
    const { tap, reply, asked, events } = tapped();
    const payload = { not: 'sendable' };
    expect(await tap.onSend(reply, payload)).toBe(payload);
    expect([asked, events]).toEqual([[], []]);
    await tap.onSend(reply, 'error page');
    expect(asked).toMatchObject([{ body: 'error page' }]);
  });

  it('does not ask about an answer with a header that node would refuse', async () => {
    const { tap, reply, asked } = tapped();
    reply.header('x-name', 'snow ☃');
    await expect(tap.onSend(reply, 'body')).rejects.toMatchObject({ code: 'ERR_INVALID_CHAR' });
    expect(asked).toEqual([]);
  });

  it('names the headers that were taken away since the start', async () => {
    const { tap, reply, asked } = tapped();
    reply.removeHeader('x-powered-by');
    await tap.onSend(reply, 'body');
    expect(asked).toMatchObject([{ head: { removed: ['x-powered-by'] } }]);
  });

  it('sends what there is when the judge fails, and says so', async () => {
    const error = new Error('a bug');
    const { tap, reply, failures } = tapped(error);
    expect(await tap.onSend(reply, 'body')).toBe('body');
    expect(failures).toEqual([error]);
  });

  it('passes on that what the handler still does has to do nothing', async () => {
    const { tap, reply, events } = tapped({ kind: 'send', headers: [], deafAfter: true });
    await tap.onSend(reply, 'timeout');
    expect(events).toEqual(['taken, deaf after']);
  });

  describe('past the limit', () => {
    it('asks at the first byte too many, and then sends all of it', async () => {
      const { tap, reply, asked } = tapped(KEPT, 6);
      let read = 0;
      async function* chunks() {
        for (; read < 4; read += 1) yield 'four';
      }
      const sent = (await tap.onSend(reply, Readable.from(chunks(), { highWaterMark: 1 }))) as Readable;
      expect(asked).toMatchObject([{ question: 'tooLarge' }]);
      expect(read).toBeLessThan(4);
      expect(await text(sent)).toBe('four'.repeat(4));
    });

    it('ends the source when nobody wants the rest', async () => {
      const { tap, reply } = tapped(KEPT, 6);
      const source = Readable.from(['four', 'four', 'four', 'four'], { highWaterMark: 1 });
      const sent = (await tap.onSend(reply, source)) as Readable;
      await sent[Symbol.asyncIterator]().next();
      sent.destroy();
      await new Promise((resolve) => source.once('close', resolve));
      expect(source.destroyed).toBe(true);
    });

    it('asks about a payload that is there at once, and sends it', async () => {
      const { tap, reply, asked } = tapped(KEPT, 3);
      expect(await tap.onSend(reply, 'four')).toBe('four');
      expect(asked).toMatchObject([{ question: 'tooLarge' }]);
    });
  });

  describe('when a stream fails', () => {
    async function* failing(): AsyncGenerator<string> {
      yield 'some';
      throw new Error('broken');
    }

    it('waits for the error page', async () => {
      const { tap, reply, asked, events } = tapped();
      await expect(tap.onSend(reply, Readable.from(failing()))).rejects.toThrow('broken');
      expect([asked, events]).toEqual([[], []]);
      await tap.onSend(reply, 'error page');
      expect(asked).toMatchObject([{ body: 'error page' }]);
    });

    it('asks about no error page when somebody gave the stream up because the client is gone', async () => {
      const { tap, reply, asked, events } = tapped();
      tap.clientGone = () => true;
      const givenUp = Readable.from(failing());
      const sent = tap.onSend(reply, givenUp);
      givenUp.destroy();
      await expect(sent).rejects.toThrow('Premature close');
      await tap.onSend(reply, 'error page');
      expect([asked, events]).toEqual([[], ['abandoned', 'taken']]);
    });

    it('asks about the error page of a stream that fails by itself, also when the client is gone', async () => {
      const { tap, reply, asked } = tapped();
      tap.clientGone = () => true;
      await expect(tap.onSend(reply, Readable.from(failing()))).rejects.toThrow('broken');
      await tap.onSend(reply, 'error page');
      expect(asked).toMatchObject([{ body: 'error page' }]);
    });
  });

  describe('on a replay', () => {
    it('sends the recorded response in the place of whatever came', async () => {
      const { tap, reply } = tapped(recorded());
      reply.header('x-outer', 'of the answer that is thrown away');
      reply.header('set-cookie', 'of this exchange');
      const sent = await tap.onSend(reply, 'thrown away');
      expect(String(sent)).toBe('recorded');
      expect([reply.statusCode, reply.raw.statusMessage]).toEqual([202, 'Taken']);
      expect(reply.getHeaders()).toEqual({
        'x-powered-by': 'us',
        'set-cookie': 'of this exchange',
        'content-type': 'text/plain',
        'idempotent-replayed': 'true',
      });
    });

    it.each([
      ['none', null],
      ['whole', Buffer.alloc(0)],
    ] as const)('sends an empty body of the framing %s as it came', async (framing, payload) => {
      const { tap, reply } = tapped(recorded({ body: Buffer.alloc(0), framing }));
      expect(await tap.onSend(reply, 'thrown away')).toEqual(payload);
    });

    it('sends in pieces what came in pieces', async () => {
      const { tap, reply } = tapped(recorded({ framing: 'pieces' }));
      const sent = await tap.onSend(reply, 'thrown away');
      expect(await text(sent as Readable)).toBe('recorded');
    });
  });
});

/** What streams could do before node 0.10: emit. */
function oldStream(chunks: readonly string[]) {
  const listeners = new Map<string, (chunk?: unknown) => void>();
  const stream = {
    on(event: string, listener: (chunk?: unknown) => void) {
      listeners.set(event, listener);
      if (event === 'data')
        setImmediate(() => {
          for (const chunk of chunks) listeners.get('data')?.(Buffer.from(chunk));
          listeners.get('end')?.();
        });
      return stream;
    },
    once: () => stream,
    emit: () => false,
    removeListener: () => stream,
    pause: () => stream,
    resume: () => stream,
  };
  return stream;
}
