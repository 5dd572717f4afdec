import type { HttpAdapterHost } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import type { FastifyReplyLike } from '../http/fastify-response-tap.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';

interface FastifyLike {
  addHook(
    name: 'onSend',
    hook: (
      request: unknown,
      reply: FastifyReplyLike & { raw: object },
      payload: unknown,
      done: (error: Error | null, payload?: unknown) => void,
    ) => Promise<unknown> | void,
  ): unknown;
}

/** A hook of the instance runs before those that plugins such as @fastify/compress add to each route. */
export function installFastifyHook(instance: unknown, runtime: IdempotencyRuntime): void {
  (instance as FastifyLike).addHook('onSend', (_request, reply, payload, done) => {
    const tap = runtime.taps.get(reply.raw);
    // A promise, and not `done` at its end: Fastify catches what sending throws (an invalid header) only then.
    if (tap !== undefined) return tap.onSend(reply, payload);
    done(null, payload);
  });
}

/**
 * Fastify answers over HTTP/2 itself. Express does not know HTTP/2, and what others put between the two has never been
 * tried with us.
 *
 * @throws InvalidOptionsError
 */
export function refuseHttp2OnExpress(adapter: NonNullable<HttpAdapterHost['httpAdapter']>): void {
  const server = adapter.getHttpServer() as { constructor?: { name?: string } } | undefined;
  if (adapter.getType() !== 'fastify' && server?.constructor?.name?.startsWith('Http2')) {
    throw new InvalidOptionsError(
      'IdempotencyModule records responses over HTTP/2 on Fastify alone: Express does not know HTTP/2, so replays might be wrong. ' +
        'Use `new FastifyAdapter({ http2: true })`, or serve HTTP/1.1 behind a proxy that speaks HTTP/2 to the clients.',
    );
  }
}
