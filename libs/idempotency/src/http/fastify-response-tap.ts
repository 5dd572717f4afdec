import { Readable } from 'node:stream';
import { belongsToExchange } from './replayable-headers.js';
import type { HeaderList, HeaderValue, RecordedResponse } from './recorded-response.js';
import type { ResponseHead, ResponseJudge, Verdict } from './response-tap.js';

/** The few things of a Fastify reply that we use. */
export interface FastifyReplyLike {
  statusCode: number;
  code(status: number): unknown;
  header(name: string, value: unknown): unknown;
  removeHeader(name: string): unknown;
  hasHeader(name: string): boolean;
  getHeaders(): Record<string, HeaderValue | undefined>;
}

/**
 * Holds back a Fastify payload in an `onSend` hook until the judge has decided. The hook runs before those of
 * @fastify/compress and others that a route brings, so the bytes are plain and each exchange is negotiated anew.
 */
export class FastifyResponseTap {
  /** Called when a payload has come by: from then on the raw response is no longer ours. */
  onTaken: () => void = () => {};
  private readonly headersAtStart: ReadonlySet<string>;
  private judged = false;

  constructor(
    reply: FastifyReplyLike,
    private readonly judge: ResponseJudge,
    private readonly onFailure: (error: unknown) => void,
  ) {
    this.headersAtStart = new Set(Object.keys(reply.getHeaders()));
  }

  /** Takes the payload that is about to go out and gives the one that does. */
  async onSend(reply: FastifyReplyLike, payload: unknown): Promise<unknown> {
    // Fastify asks again for the error page of a hook that failed after us.
    if (this.judged) return payload;
    const sent = await this.hold(reply, payload);
    this.onTaken();
    return sent;
  }

  private async hold(reply: FastifyReplyLike, payload: unknown): Promise<unknown> {
    const stream = toReadable(payload);
    if (stream === undefined) return this.bufferOf(reply, payload);
    const held: Buffer[] = [];
    let bytes = 0;
    const iterator = stream[Symbol.asyncIterator]() as AsyncIterator<unknown>;
    for (;;) {
      const next = await iterator.next();
      if (next.done) break;
      const chunk =
        typeof next.value === 'string' ? Buffer.from(next.value) : Buffer.from(next.value as Uint8Array);
      held.push(chunk);
      bytes += chunk.length;
      if (bytes > this.judge.limit) {
        this.apply(reply, await this.ask(() => this.judge.tooLarge(headOf(reply, true))));
        return Readable.from(continued(held, iterator), { objectMode: false });
      }
    }
    const body = Buffer.concat(held);
    const verdict = await this.ask(() => this.judge.ended(headOf(reply, true), body));
    if (verdict.kind === 'replace') return this.replace(reply, verdict.response, verdict.headers);
    this.apply(reply, verdict);
    // A stream again, so that the framing stays what the handler chose.
    return reply.hasHeader('content-length') ? body : streamOf(body);
  }

  private async bufferOf(reply: FastifyReplyLike, payload: unknown): Promise<unknown> {
    const body = bytesOf(payload);
    const tooLarge = body.length > this.judge.limit;
    const head = headOf(reply, false);
    const verdict = await this.ask(() =>
      tooLarge ? this.judge.tooLarge(head) : this.judge.ended(head, body),
    );
    if (verdict.kind === 'replace') return this.replace(reply, verdict.response, verdict.headers);
    this.apply(reply, verdict);
    return payload;
  }

  private apply(reply: FastifyReplyLike, verdict: Verdict): void {
    for (const [name, value] of verdict.headers) reply.header(name, value);
  }

  private replace(reply: FastifyReplyLike, recorded: RecordedResponse, headers: HeaderList): unknown {
    const kept = new Set(recorded.headers.map(([name]) => name.toLowerCase()));
    for (const name of Object.keys(reply.getHeaders())) {
      const stays =
        belongsToExchange(name) ||
        (this.headersAtStart.has(name) && !kept.has(name) && !name.startsWith('content-'));
      if (!stays) reply.removeHeader(name);
    }
    reply.code(recorded.status);
    for (const [name, value] of [...recorded.headers, ...headers]) {
      // Fastify appends to what is there.
      reply.removeHeader(name);
      reply.header(name, value);
    }
    const body = Buffer.from(recorded.body);
    if (recorded.chunked) return streamOf(body);
    return body.length === 0 ? null : body;
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

function headOf(reply: FastifyReplyLike, streamed: boolean): ResponseHead {
  const headers: [string, HeaderValue][] = [];
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) headers.push([name, value]);
  return { status: reply.statusCode, headers, chunked: streamed && !reply.hasHeader('content-length') };
}

function toReadable(payload: unknown): Readable | undefined {
  if (typeof payload !== 'object' || payload === null || payload instanceof Uint8Array) return undefined;
  if (payload instanceof Readable) return payload;
  if (typeof (payload as { pipe?: unknown }).pipe === 'function')
    return new Readable().wrap(payload as Readable);
  if (typeof (payload as { getReader?: unknown }).getReader === 'function')
    return Readable.fromWeb(payload as never);
  return undefined;
}

function bytesOf(payload: unknown): Buffer {
  if (payload === null || payload === undefined) return Buffer.alloc(0);
  if (payload instanceof Uint8Array)
    return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  if (typeof payload === 'string') return Buffer.from(payload);
  throw new TypeError(`a payload of type ${typeof payload} cannot be recorded`);
}

function streamOf(body: Buffer): Readable {
  return Readable.from(body.length === 0 ? [] : [body], { objectMode: false });
}

async function* continued(held: readonly Buffer[], rest: AsyncIterator<unknown>): AsyncGenerator<unknown> {
  yield* held;
  for (;;) {
    const next = await rest.next();
    if (next.done) return;
    yield next.value;
  }
}
