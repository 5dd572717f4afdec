import type { Readable } from 'node:stream';
import { checkHeaders, discardedHeaders, headerList, ownReason, removedHeaders } from './header-list.js';
import type { Framing, HeaderList, RecordedResponse } from './recorded-response.js';
import { bytesOf, isWebResponse, readableOf, readableOfPieces, resumed } from './payload.js';
import type { ResponseHead, ResponseJudge, Verdict } from './response-tap.js';

/** The few things of a Fastify reply that we use. */
export interface FastifyReplyLike {
  statusCode: number;
  readonly raw: { readonly destroyed: boolean; statusMessage: string };
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
  private readonly headersAtStart: ReadonlySet<string>;
  private judged = false;
  private holding = false;

  constructor(
    reply: FastifyReplyLike,
    private readonly judge: ResponseJudge,
    private readonly onFailure: (error: unknown) => void,
  ) {
    this.headersAtStart = new Set(Object.keys(reply.getHeaders()));
  }

  /** Takes the payload that is about to go out and gives the one that does. */
  async onSend(reply: FastifyReplyLike, payload: unknown): Promise<unknown> {
    // Sent, as far as anybody could know: a second answer (a filter after `reply.send()`) never gets any further.
    if (this.holding) return new Promise(() => {});
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
    const verdict = await this.ask(() =>
      body.length > this.judge.limit ? this.judge.tooLarge(head) : this.judge.ended(head, body),
    );
    return this.follow(reply, verdict, head, payload);
  }

  private async holdStream(reply: FastifyReplyLike, stream: Readable): Promise<unknown> {
    const iterator = stream[Symbol.asyncIterator]() as AsyncIterator<unknown>;
    const held: Buffer[] = [];
    let bytes = 0;
    for (;;) {
      const next = await this.nextOf(iterator, reply);
      if (next.done) break;
      const chunk = bytesOf(next.value) ?? Buffer.from(String(next.value));
      held.push(chunk);
      bytes += chunk.length;
      if (bytes > this.judge.limit) {
        const head = this.headOf(reply, 'pieces');
        const verdict = await this.ask(() => this.judge.tooLarge(head));
        return this.follow(reply, verdict, head, resumed(held, iterator));
      }
    }
    const body = Buffer.concat(held);
    const head = this.headOf(reply, 'pieces');
    const verdict = await this.ask(() => this.judge.ended(head, body));
    // A stream again, so that the framing stays what the handler chose.
    return this.follow(reply, verdict, head, readableOfPieces(body));
  }

  private async nextOf(
    iterator: AsyncIterator<unknown>,
    reply: FastifyReplyLike,
  ): Promise<IteratorResult<unknown>> {
    try {
      return await iterator.next();
    } catch (error) {
      // Nobody will see the error page, so it must not become the recorded answer either.
      if (reply.raw.destroyed) {
        this.judged = true;
        this.judge.abandoned?.();
        this.onTaken({});
      }
      throw error;
    }
  }

  private follow(reply: FastifyReplyLike, verdict: Verdict, head: ResponseHead, payload: unknown): unknown {
    this.onTaken(verdict.kind === 'send' ? verdict : {});
    if (verdict.kind === 'replace') return this.replace(reply, verdict.response, verdict.headers);
    // It was sent, as far as anybody could know: what was changed meanwhile goes nowhere.
    reply.code(head.status);
    reply.raw.statusMessage = head.reason as string;
    for (const [name, value] of verdict.headers) reply.header(name, value);
    return payload;
  }

  private replace(reply: FastifyReplyLike, recorded: RecordedResponse, headers: HeaderList): unknown {
    const present = Object.keys(reply.getHeaders());
    for (const name of discardedHeaders(present, this.headersAtStart, recorded)) reply.removeHeader(name);
    reply.code(recorded.status);
    reply.raw.statusMessage = recorded.reason as string;
    for (const [name, value] of [...recorded.headers, ...headers]) reply.header(name, value);
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
    return { status, reason: ownReason(status, raw.statusMessage), headers, removed, framing };
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
