import { describe, expect, it } from '@jest/globals';
import { FastifyTrailers, type ReplyWithTrailers } from './fastify-trailers.js';

type Make = Parameters<ReplyWithTrailers['trailer']>[1];

/** A reply that makes its trailers as Fastify does, when the body is out. */
function replyWithTrailers() {
  const makers = new Map<string, Make>();
  const reply: ReplyWithTrailers = {
    trailer: (name, make) => makers.set(name.toLowerCase(), make),
    removeTrailer: (name) => makers.delete(name.toLowerCase()),
  };
  const sent = async (payload: unknown) => {
    const values: Record<string, unknown> = {};
    for (const [name, make] of makers) {
      await new Promise<void>((resolve) => {
        void make(reply, payload, (error, value) => {
          if (!error) values[name] = value;
          resolve();
        });
      });
    }
    return values;
  };
  return { reply, sent };
}

describe('FastifyTrailers', () => {
  it('makes each trailer once, of the payload, and Fastify sends what was recorded', async () => {
    const { reply, sent } = replyWithTrailers();
    const trailers = new FastifyTrailers(reply);
    let made = 0;
    reply.trailer('X-Sum', (_reply, payload, done) => done(null, `${String(payload)} ${(made += 1)}`));
    reply.trailer('x-later', async () => Promise.resolve(`later ${(made += 1)}`));

    expect(await trailers.made('body')).toEqual({
      trailers: [
        ['x-sum', 'body 1'],
        ['x-later', 'later 2'],
      ],
    });
    expect(await sent('body')).toEqual({ 'x-sum': 'body 1', 'x-later': 'later 2' });
  });

  it('leaves out one that fails or throws, and one that was removed', async () => {
    const { reply, sent } = replyWithTrailers();
    const trailers = new FastifyTrailers(reply);
    reply.trailer('x-rejecting', async () => Promise.reject(new Error('no')));
    reply.trailer('x-failing', (_reply, _payload, done) => done(new Error('no')));
    reply.trailer('x-throwing', () => {
      throw new Error('no');
    });
    reply.trailer('x-removed', async () => Promise.resolve('never'));
    reply.removeTrailer('X-Removed');

    expect(await trailers.made('body')).toEqual({ trailers: [] });
    expect(await sent('body')).toEqual({});
  });

  it('says nothing of trailers that there are not', async () => {
    expect(await new FastifyTrailers(replyWithTrailers().reply).made('body')).toEqual({});
  });

  it('sends those of a recorded answer in the place of those of one that is thrown away', async () => {
    const { reply, sent } = replyWithTrailers();
    const trailers = new FastifyTrailers(reply);
    reply.trailer('x-thrown-away', async () => Promise.resolve('1'));
    trailers.replace([['x-sum', 'recorded']]);

    expect(await sent('recorded')).toEqual({ 'x-sum': 'recorded' });
  });
});
