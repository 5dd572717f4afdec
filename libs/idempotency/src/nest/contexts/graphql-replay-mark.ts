import type { ExecutionContext } from '@nestjs/common';

interface AnyGraphqlContext {
  readonly res?: AnyResponse;
  readonly req?: { readonly res?: AnyResponse };
  readonly reply?: AnyResponse;
}

/** A response of node or of Fastify, or whatever else an application calls so. */
interface AnyResponse {
  readonly headersSent?: boolean;
  setHeader?(name: string, value: string): unknown;
  header?(name: string, value: string): unknown;
  removeHeader?(name: string): unknown;
}

/** Responses with a protected field that has run. */
const ran = new WeakSet<object>();

/**
 * `Idempotent-Replayed: true` on a response whose protected fields were all replayed: one of them that ran takes it away. Whatever
 * is not protected has run anyway.
 */
export function markField(context: ExecutionContext, replayed: boolean): void {
  const shared = context.getArgs<[unknown, unknown, AnyGraphqlContext | undefined]>()[2];
  const response = shared?.reply ?? shared?.res ?? shared?.req?.res;
  // Documents of one request may have a context each, and share their response.
  if (typeof response !== 'object' || ran.has(response)) return;
  if (!replayed) ran.add(response);
  if (response.headersSent === true) return;
  if (!replayed) response.removeHeader?.(MARK);
  else if (typeof response.setHeader === 'function') response.setHeader(MARK, 'true');
  else response.header?.(MARK, 'true');
}

const MARK = 'Idempotent-Replayed';
