import type { Readable } from 'node:stream';
import { checkHeaders, discardedHeaders, headerList, removedHeaders } from './header-list.js';
import type { Framing, HeaderList, RecordedResponse } from './recorded-response.js';
import { FastifyTrailers, type ReplyWithTrailers } from './fastify-trailers.js';
import { bytesOf, isWebResponse, readableOf, readableOfPieces, resumed } from './payload.js';
import { isHttp2, reasonOf } from './raw-response.js';
import type { ResponseHead, ResponseJudge, Verdict } from './response-tap.js';

/** The few things of a Fastify reply that we use. */
export interface FastifyReplyLike extends ReplyWithTrailers {
  statusCode: number;
  readonly raw: { statusMessage: string };
  /** Fastify leaves the response to us. */
  hijack(): unknown;
  code(status: number): unknown;
  header(name: string, value: unknown): unknown;
  removeHeader(name: string): unknown;
  getHeaders(): Record<string, unknown>;
}

/**
 * Holds back a Fastify payload in an `onSend` hook until the judge has decided. The hook runs before those of
 * @fastify/compress and others that a route brings, so the bytes are plain and each exchange is negotiated anew.
 */
export class FastifyResponseTap {
  /** Called when a payload has come by: from then on the raw response is no longer ours. */
  onTaken: (verdict: { readonly deafAfter?: boolean }) => void = () => {};
  /** Called when a payload is held back, and when it was not sent after all. */
  onHeld: () => void = () => {};
  onDropped: () => void = () => {};
  /** Called with a recorded response that was written past the hooks, and goes out past them. */
  onPast: (recorded: RecordedResponse, headers: HeaderList) => void = () => {};
  /** Whether the client has left. */
  clientGone: () => boolean = () => false;
  private readonly headersAtStart: ReadonlySet<string>;
  private readonly trailers: FastifyTrailers;
  private judged = false;
  private holding = false;

  constructor(
    reply: FastifyReplyLike,
    private readonly judge: ResponseJudge,
    private readonly onFailure: (error: unknown) => void,
  ) {
    this.headersAtStart = new Set(Object.keys(reply.getHeaders()));
    this.trailers = new FastifyTrailers(reply);
  }

  /** Takes the payload that is about to go out and gives the one that does. */
  async onSend(reply: FastifyReplyLike, payload: unknown): Promise<unknown> {
    // Sent, as far as anybody could know: a second answer (a filter after `reply.send()`) never gets any further.
    if (this.holding) return never();
    // Fastify asks again for the error page of a hook that failed after us.
    if (this.judged) return payload;
    this.holding = true;
    this.onHeld();
    try {
      return await this.answerFor(reply, payload);
    } finally {
      this.holding = false;
      if (!this.judged) this.onDropped();
    }
  }

  private async answerFor(reply: FastifyReplyLike, payload: unknown): Promise<unknown> {
    if (isWebResponse(payload)) {
      reply.code(payload.status);
      for (const [name, value] of payload.headers) reply.header(name, value);
      return this.hold(reply, payload.body ?? undefined);
    }
    return this.hold(reply, payload);
  }

  private async hold(reply: FastifyReplyLike, payload: unknown): Promise<unknown> {
    const stream = readableOf(payload);
    if (stream !== undefined) return this.holdStream(reply, stream);
    const body = bytesOf(payload);
    // Nothing that can be sent: Fastify says so, and asks again for the answer that says it.
    if (body === undefined) return payload;
    const head = this.headOf(reply, payload === undefined || payload === null ? 'none' : 'whole');
    const verdict = await this.ask(async () =>
      body.length > this.judge.limit
        ? this.judge.tooLarge(head, true)
        : this.judge.ended({ ...head, ...(await this.trailers.made(payload)) }, body),
    );
    return this.follow(reply, verdict, head, payload);
  }

  private async holdStream(reply: FastifyReplyLike, stream: Readable): Promise<unknown> {
    const iterator = stream[Symbol.asyncIterator]() as AsyncIterator<unknown>;
    const held: Buffer[] = [];
    let bytes = 0;
    for (;;) {
      const next = await this.nextOf(iterator);
      if (next.done) break;
      const chunk = bytesOf(next.value) ?? Buffer.from(String(next.value));
      held.push(chunk);
      this.judge.progressed?.();
      bytes += chunk.length;
      if (bytes > this.judge.limit) {
        const head = this.headOf(reply, 'pieces');
        const verdict = await this.ask(() => this.judge.tooLarge(head, false));
        if (verdict.kind === 'replace') stream.destroy();
        return this.follow(reply, verdict, head, resumed(held, iterator));
      }
    }
    const body = Buffer.concat(held);
    const head = this.headOf(reply, 'pieces');
    const verdict = await this.ask(async () =>
      this.judge.ended({ ...head, ...(await this.trailers.made(stream)) }, body),
    );
    // A stream again, so that the framing stays what the handler chose.
    return this.follow(reply, verdict, head, readableOfPieces(body));
  }

  private async nextOf(iterator: AsyncIterator<unknown>): Promise<IteratorResult<unknown>> {
    try {
      return await iterator.next();
    } catch (error) {
      // Somebody gave it up for the want of a client: an error page would say what no client is to blame for.
      if (this.clientGone() && (error as { code?: unknown }).code === 'ERR_STREAM_PREMATURE_CLOSE') {
        this.judged = true;
        this.judge.abandoned?.();
        this.onTaken({});
      }
      throw error;
    }
  }

  private follow(reply: FastifyReplyLike, verdict: Verdict, head: ResponseHead, payload: unknown): unknown {
    if (verdict.kind === 'replace' && verdict.response.past) {
      reply.hijack();
      this.onPast(verdict.response, verdict.headers);
      return never();
    }
    this.onTaken(verdict.kind === 'send' ? verdict : {});
    if (verdict.kind === 'replace') return this.replace(reply, verdict.response, verdict.headers);
    // It was sent, as far as anybody could know: what was changed meanwhile goes nowhere.
    reply.code(head.status);
    setReason(reply, head.reason);
    for (const [name, value] of verdict.headers) reply.header(name, value);
    return payload;
  }

  private replace(reply: FastifyReplyLike, recorded: RecordedResponse, headers: HeaderList): unknown {
    const present = Object.keys(reply.getHeaders());
    for (const name of discardedHeaders(present, this.headersAtStart, recorded)) reply.removeHeader(name);
    reply.code(recorded.status);
    setReason(reply, recorded.reason);
    for (const [name, value] of [...recorded.headers, ...headers]) reply.header(name, value);
    this.trailers.replace(recorded.trailers ?? []);
    if (recorded.framing === 'none') return null;
    const body = Buffer.from(recorded.body);
    return recorded.framing === 'pieces' ? readableOfPieces(body) : body;
  }

  /** @throws TypeError when a header cannot be sent: then this answer is none, and must not be recorded */
  private headOf(reply: FastifyReplyLike, framing: Framing): ResponseHead {
    const headers = headerList(Object.entries(reply.getHeaders()));
    checkHeaders(headers);
    const removed = removedHeaders(
      this.headersAtStart,
      headers.map(([name]) => name),
    );
    const { statusCode: status, raw } = reply;
    return { status, reason: reasonOf(status, raw), headers, removed, framing };
  }

  private async ask(question: () => Promise<Verdict>): Promise<Verdict> {
    this.judged = true;
    try {
      return await question();
    } catch (error) {
      this.onFailure(error);
      return { kind: 'send', headers: [] };
    }
  }
}

/** For an answer that goes no further. One for each, or those who wait would gather at it. */
function never(): Promise<never> {
  return new Promise(() => {});
}

/** Undefined: node writes the usual one. HTTP/2 has none, and node warns of any. */
function setReason({ raw }: FastifyReplyLike, reason: string | undefined): void {
  if (!isHttp2(raw)) raw.statusMessage = reason as string;
}
