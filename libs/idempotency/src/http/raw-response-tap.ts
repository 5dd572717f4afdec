import type { ServerResponse } from 'node:http';
import { belongsToExchange } from './replayable-headers.js';
import type { HeaderList, HeaderValue, RecordedResponse } from './recorded-response.js';
import type { ResponseHead, ResponseJudge, Verdict } from './response-tap.js';

type WriteCallback = (error?: Error | null) => void;
type Method = (...args: unknown[]) => unknown;
type Original = Readonly<
  Record<
    'writeHead' | 'write' | 'end' | 'flushHeaders' | 'setHeader' | 'removeHeader' | 'appendHeader',
    Method
  >
>;
/** `holding`: bytes are kept back. `judging`: it has ended, or is too large, and the judge decides. `open`: all passes. */
type Mode = 'holding' | 'judging' | 'open';

/**
 * Holds back what a handler, interceptor or filter writes to a raw response until the judge has decided.
 *
 * It replaces `writeHead`, `write`, `end` and `flushHeaders` on the object itself and never puts the old ones back: who
 * patched after us calls us, and whom we patched over (compression, sessions) sees everything once we let it pass.
 */
export class RawResponseTap {
  private mode: Mode = 'holding';
  private chunks: Buffer[] = [];
  private bytes = 0;
  private written = false;
  private committed = false;
  private ended = false;
  private needsDrain = false;
  private readonly original: Original;
  private readonly headersAtStart: ReadonlySet<string>;

  constructor(
    private readonly response: ServerResponse,
    private readonly judge: ResponseJudge,
    private readonly onFailure: (error: unknown) => void,
  ) {
    const { writeHead, write, end, flushHeaders, setHeader, removeHeader, appendHeader } = response;
    this.original = {
      writeHead,
      write,
      end,
      flushHeaders,
      setHeader,
      removeHeader,
      appendHeader,
    } as Original;
    this.headersAtStart = new Set(response.getHeaderNames());
    const ours: Original = {
      writeHead: this.writeHead as Method,
      write: this.write as Method,
      end: this.end as Method,
      flushHeaders: () => (this.mode === 'open' ? this.original.flushHeaders.call(response) : this.commit()),
      setHeader: this.unlessCommitted(this.original.setHeader),
      appendHeader: this.unlessCommitted(this.original.appendHeader),
      removeHeader: this.unlessCommitted(this.original.removeHeader),
    };
    Object.assign(response, ours);
    // Frameworks ask these before they answer a second time; the truth would be "not yet" for as long as we hold.
    Object.defineProperty(response, 'headersSent', { configurable: true, get: () => this.committed });
    Object.defineProperty(response, 'writableEnded', { configurable: true, get: () => this.ended });
  }

  /** Lets everything pass from now on: somebody else records this response. */
  open(): void {
    if (this.mode !== 'open') this.restoreGetters();
    this.mode = 'open';
  }

  /** Whether something was written or ended here. */
  get used(): boolean {
    return this.committed;
  }

  private readonly writeHead = (status: number, ...rest: unknown[]): ServerResponse => {
    if (this.mode === 'open')
      return this.original.writeHead.call(this.response, status, ...rest) as ServerResponse;
    if (this.committed) throw headersSent('write');
    this.response.statusCode = status;
    const [reason, headers] = typeof rest[0] === 'string' ? rest : [undefined, rest[0]];
    if (reason !== undefined) this.response.statusMessage = reason as string;
    for (const [name, value] of headerEntries(headers))
      this.original.setHeader.call(this.response, name, value);
    this.commit();
    return this.response;
  };

  private readonly write = (
    chunk: unknown,
    encoding?: BufferEncoding | WriteCallback,
    callback?: WriteCallback,
  ): boolean => {
    if (this.mode === 'open')
      return this.original.write.call(this.response, chunk, encoding, callback) as boolean;
    const done = typeof encoding === 'function' ? encoding : callback;
    if (done) process.nextTick(done);
    if (this.ended) return false;
    this.commit();
    this.written = true;
    this.hold(chunk, encoding);
    if (this.mode === 'holding' && this.bytes > this.judge.limit) void this.overflow();
    // Past the limit the writer has to wait for the judge, or the held bytes would grow without end.
    this.needsDrain = this.bytes > this.judge.limit;
    return !this.needsDrain;
  };

  private readonly end = (
    chunk?: unknown,
    encoding?: BufferEncoding | WriteCallback,
    callback?: WriteCallback,
  ): ServerResponse => {
    if (this.mode === 'open')
      return this.original.end.call(this.response, chunk, encoding, callback) as ServerResponse;
    const done = [chunk, encoding, callback].find((argument) => typeof argument === 'function') as
      WriteCallback | undefined;
    if (this.ended) {
      if (done) process.nextTick(done);
      return this.response;
    }
    if (done) this.response.once('finish', done);
    if (chunk !== undefined && chunk !== null && typeof chunk !== 'function') this.hold(chunk, encoding);
    this.commit();
    this.ended = true;
    if (this.mode === 'judging') return this.response;
    if (this.bytes > this.judge.limit) void this.overflow();
    else void this.finish();
    return this.response;
  };

  private hold(chunk: unknown, encoding: unknown): void {
    const buffer =
      typeof chunk === 'string'
        ? Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
        : // A copy: the writer may use its buffer again once the write is "done".
          Buffer.from(chunk as Uint8Array);
    this.chunks.push(buffer);
    this.bytes += buffer.length;
  }

  private commit(): void {
    this.committed = true;
  }

  private unlessCommitted(change: Method): Method {
    return (...args) => {
      if (this.mode !== 'open' && this.committed) throw headersSent('set');
      return change.apply(this.response, args);
    };
  }

  private head(): ResponseHead {
    const { response } = this;
    const named = response as { getRawHeaderNames?: () => string[] };
    const names = named.getRawHeaderNames?.() ?? response.getHeaderNames();
    const headers: HeaderList = names.map((name) => [name, response.getHeader(name) as HeaderValue]);
    return {
      status: response.statusCode,
      headers,
      chunked: this.written && !response.hasHeader('content-length'),
    };
  }

  private async finish(): Promise<void> {
    this.mode = 'judging';
    const verdict = await this.ask(() => this.judge.ended(this.head(), Buffer.concat(this.chunks)));
    this.pass();
    if (verdict.kind === 'replace') return this.replace(verdict.response, verdict.headers);
    this.addHeaders(verdict.headers);
    this.flush(true);
  }

  private async overflow(): Promise<void> {
    this.mode = 'judging';
    const verdict = await this.ask(() => this.judge.tooLarge(this.head()));
    this.pass();
    this.addHeaders(verdict.headers);
    this.flush(this.ended);
    if (this.needsDrain && !this.ended) this.response.emit('drain');
  }

  /** A judge that fails must not leave the client without an answer. */
  private async ask(question: () => Promise<Verdict>): Promise<Verdict> {
    try {
      return await question();
    } catch (error) {
      this.onFailure(error);
      return { kind: 'send', headers: [] };
    }
  }

  private pass(): void {
    this.mode = 'open';
    this.restoreGetters();
  }

  private restoreGetters(): void {
    delete (this.response as { headersSent?: boolean }).headersSent;
    delete (this.response as { writableEnded?: boolean }).writableEnded;
  }

  /** The same framing as if nobody had held it: written in chunks, or ended with the whole body. */
  private flush(end: boolean): void {
    const body = Buffer.concat(this.chunks);
    this.chunks = [];
    const { response, original } = this;
    if (!end || this.written) {
      if (body.length > 0) original.write.call(response, body);
      if (end) original.end.call(response);
    } else if (body.length > 0) original.end.call(response, body);
    else original.end.call(response);
  }

  private replace(recorded: RecordedResponse, headers: HeaderList): void {
    const { response, original } = this;
    const kept = new Set(recorded.headers.map(([name]) => name.toLowerCase()));
    for (const name of response.getHeaderNames()) {
      const stays =
        belongsToExchange(name) || (this.headersAtStart.has(name) && !kept.has(name) && !isOfBody(name));
      if (!stays) response.removeHeader(name);
    }
    response.statusCode = recorded.status;
    // A phrase that belonged to the answer we throw away; node writes the right one.
    response.statusMessage = undefined as unknown as string;
    this.addHeaders([...recorded.headers, ...headers]);
    const body = Buffer.from(recorded.body);
    if (!recorded.chunked) original.end.call(response, body);
    else {
      original.write.call(response, body);
      original.end.call(response);
    }
  }

  private addHeaders(headers: HeaderList): void {
    if (this.response.headersSent) return;
    for (const [name, value] of headers) this.original.setHeader.call(this.response, name, value);
  }
}

/** Headers that describe a body: those of a discarded one must not stay. */
function isOfBody(name: string): boolean {
  return name.startsWith('content-') || name === 'etag' || name === 'last-modified' || name === 'location';
}

/** What `writeHead` takes: an object, a flat array, or an array of pairs. */
function headerEntries(headers: unknown): [string, HeaderValue][] {
  if (typeof headers !== 'object' || headers === null) return [];
  const byItem: unknown = headers;
  if (!Array.isArray(byItem)) {
    return Object.entries(headers as Record<string, HeaderValue | undefined>).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as [string, HeaderValue]],
    );
  }
  const list: unknown[] = byItem;
  const pairs = Array.isArray(list[0])
    ? (list as [string, HeaderValue][])
    : list.flatMap((name, index) =>
        index % 2 === 0 ? [[name, list[index + 1]] as [string, HeaderValue]] : [],
      );
  const byName = new Map<string, { name: string; values: HeaderValue[] }>();
  for (const [name, value] of pairs) {
    const entry = byName.get(name.toLowerCase()) ?? { name, values: [] };
    entry.values.push(value);
    byName.set(name.toLowerCase(), entry);
  }
  return [...byName.values()].map(({ name, values: [first, ...more] }) => [
    name,
    more.length === 0 ? (first as HeaderValue) : [first, ...more].flat().map(String),
  ]);
}

function headersSent(verb: 'set' | 'write'): Error {
  const error = new Error(`Cannot ${verb} headers after they are sent to the client`);
  return Object.assign(error, { code: 'ERR_HTTP_HEADERS_SENT' });
}
