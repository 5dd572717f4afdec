import { headerList } from './header-list.js';
import type { HeaderList } from './recorded-response.js';

type Done = (error: Error | null, value?: unknown) => void;
type Trailer = (reply: unknown, payload: unknown, done: Done) => unknown;

/** What we use of a Fastify reply for what goes out after the body. */
export interface ReplyWithTrailers {
  trailer(name: string, make: Trailer): unknown;
  removeTrailer(name: string): unknown;
}

/**
 * Fastify makes trailers when the body is out. Then it is too late to record them, so they are made when the body is
 * held, and Fastify gets what they came to.
 */
export class FastifyTrailers {
  private readonly makers = new Map<string, Trailer>();
  private readonly values = new Map<string, Promise<unknown>>();
  private readonly own: ReplyWithTrailers;

  constructor(private readonly reply: ReplyWithTrailers) {
    const { trailer, removeTrailer } = reply;
    this.own = { trailer: trailer.bind(reply), removeTrailer: removeTrailer.bind(reply) };
    reply.trailer = (name, make) => {
      // Fastify says what is wrong with a trailer before we take it.
      const given = this.own.trailer(name, (_reply, payload, done) => {
        this.valueOf(name, payload).then(
          (value) => done(null, value),
          (error: Error) => done(error),
        );
      });
      this.makers.set(name.toLowerCase(), make);
      return given;
    };
    reply.removeTrailer = (name) => {
      this.makers.delete(name.toLowerCase());
      return this.own.removeTrailer(name);
    };
  }

  /** Those of an answer. One that fails is left out, as Fastify does. */
  async made(payload: unknown): Promise<{ trailers?: HeaderList }> {
    if (this.makers.size === 0) return {};
    const made: [string, unknown][] = [];
    for (const name of this.makers.keys()) {
      const value = await this.valueOf(name, payload).catch(() => undefined);
      if (value !== undefined) made.push([name, value]);
    }
    return { trailers: headerList(made) };
  }

  /** Those of a recorded answer, in the place of those that were made for one that is thrown away. */
  replace(recorded: HeaderList): void {
    for (const name of this.makers.keys()) this.own.removeTrailer(name);
    for (const [name, value] of recorded)
      this.own.trailer(name, (_reply, _payload, done) => done(null, value));
  }

  /** Made once, whoever asks. */
  private valueOf(name: string, payload: unknown): Promise<unknown> {
    const lower = name.toLowerCase();
    const value = this.values.get(lower) ?? this.make(lower, payload);
    this.values.set(lower, value);
    return value;
  }

  private make(name: string, payload: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const done: Done = (error, value) => (error ? reject(error) : resolve(value));
      const given = this.makers.get(name)?.(this.reply, payload, done);
      if (typeof (given as PromiseLike<unknown> | undefined)?.then === 'function') resolve(given);
    });
  }
}
