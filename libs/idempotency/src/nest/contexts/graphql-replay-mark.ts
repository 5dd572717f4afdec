import type { ExecutionContext } from '@nestjs/common';
import type { ServerResponse } from 'node:http';

interface AnyGraphqlContext {
  readonly res?: ServerResponse;
  readonly req?: { readonly res?: ServerResponse };
  readonly reply?: { header(name: string, value: string): unknown; removeHeader(name: string): unknown };
}

/** Requests with a protected field that has run. */
const ran = new WeakSet<object>();

/**
 * `Idempotent-Replayed: true` on a response whose protected fields were all replayed: one of them that ran takes it away. Whatever
 * is not protected has run anyway.
 */
export function markField(context: ExecutionContext, replayed: boolean): void {
  const shared = context.getArgs<[unknown, unknown, AnyGraphqlContext | undefined]>()[2];
  if (typeof shared !== 'object' || ran.has(shared)) return;
  if (!replayed) ran.add(shared);
  const response = shared.res ?? shared.req?.res;
  if (shared.reply !== undefined) {
    if (replayed) shared.reply.header(MARK, 'true');
    else shared.reply.removeHeader(MARK);
  } else if (response !== undefined && !response.headersSent) {
    if (replayed) response.setHeader(MARK, 'true');
    else response.removeHeader(MARK);
  }
}

const MARK = 'Idempotent-Replayed';
