import type { ServerResponse } from 'node:http';
import { discardedHeaders, headerList, ownReason, removedHeaders } from './header-list.js';
import type { Framing, HeaderList, RecordedResponse } from './recorded-response.js';
import type { ResponseHead } from './response-tap.js';

export type Method = (...args: unknown[]) => unknown;

/** The methods of a response that a tap replaces. */
export type ResponseMethods = Readonly<
  Record<
    | 'writeHead'
    | 'write'
    | 'end'
    | 'flushHeaders'
    | 'setHeader'
    | 'removeHeader'
    | 'appendHeader'
    | 'addTrailers'
    | 'destroy'
    | 'on'
    | 'addListener'
    | 'prependListener'
    | 'prependOnceListener',
    Method
  >
>;

/** A raw response as it was before it was tapped: what lies below the tap. */
export class RawResponse {
  readonly original: ResponseMethods;
  private readonly headersAtStart: ReadonlySet<string>;

  constructor(readonly response: ServerResponse) {
    makeDictionary(response);
    const { writeHead, write, end, flushHeaders } = response;
    const { setHeader, removeHeader, appendHeader, addTrailers, destroy } = response;
    const { on, addListener, prependListener, prependOnceListener } = response;
    this.original = {
      writeHead,
      write,
      end,
      flushHeaders,
      setHeader,
      removeHeader,
      appendHeader,
      addTrailers,
      destroy,
      on,
      addListener,
      prependListener,
      prependOnceListener,
    } as ResponseMethods;
    this.headersAtStart = new Set(response.getHeaderNames());
  }

  call(name: keyof ResponseMethods, ...args: unknown[]): unknown {
    return this.original[name].apply(this.response, args);
  }

  head(framing: Framing): ResponseHead {
    const { response } = this;
    const named = response as { getRawHeaderNames?: () => string[] };
    // Over HTTP/2 the status is a header, too.
    const all = named.getRawHeaderNames?.() ?? response.getHeaderNames();
    const names = all.filter((name) => !name.startsWith(':'));
    const headers = headerList(names.map((name) => [name, response.getHeader(name)]));
    const { statusCode: status } = response;
    const removed = removedHeaders(this.headersAtStart, names);
    return { status, reason: reasonOf(status, response), headers, removed, framing };
  }

  setStatus({ status, reason }: Pick<ResponseHead, 'status' | 'reason'>): void {
    this.response.statusCode = status;
    // Undefined: node writes the usual one. HTTP/2 has none, and node warns of any.
    if (!isHttp2(this.response)) this.response.statusMessage = reason as string;
  }

  addHeaders(headers: HeaderList): void {
    if (this.response.headersSent) return;
    for (const [name, value] of headers) this.call('setHeader', name, value);
  }

  private addTrailers(trailers: HeaderList): void {
    // A client of HTTP/1.0 knows no chunks, and trailers come after the last one.
    const canCarry = isHttp2(this.response) || this.response.useChunkedEncodingByDefault;
    if (!canCarry) this.call('removeHeader', 'trailer');
    else if (trailers.length > 0) this.call('addTrailers', Object.fromEntries(trailers));
  }

  /** Ends it in the same framing as if nobody had held the body. */
  endWith(body: Buffer, framing: Framing): void {
    if (framing === 'whole') this.call('end', body);
    else {
      if (body.length > 0) this.call('write', body);
      else if (framing === 'pieces') this.call('writeHead', this.response.statusCode);
      this.call('end');
    }
  }

  /** Sends a recorded response in the place of the one that was being made. */
  replace(recorded: RecordedResponse, headers: HeaderList): void {
    const { response } = this;
    for (const name of discardedHeaders(response.getHeaderNames(), this.headersAtStart, recorded))
      this.call('removeHeader', name);
    this.setStatus(recorded);
    this.addHeaders([...recorded.headers, ...headers]);
    this.addTrailers(recorded.trailers ?? []);
    this.endWith(Buffer.from(recorded.body), recorded.framing);
  }
}

/** Whether it is a response of HTTP/2, which knows neither reason phrases nor how a body is framed. */
export function isHttp2(response: object): boolean {
  return 'stream' in response;
}

/** A reason phrase of its own. HTTP/2 has none, and node warns of those who ask. */
export function reasonOf(status: number, response: { readonly statusMessage: string }): string | undefined {
  return isHttp2(response) ? undefined : ownReason(status, response.statusMessage);
}

const FIRST = Symbol('first');
const SECOND = Symbol('second');

/**
 * Makes adding properties cheap. Express swaps the prototype of each response, so each has a hidden class of its own, and
 * every property that is added makes another one: a tap costs 20 µs more. An object that has lost a property, other than
 * its last, has none.
 */
function makeDictionary(response: ServerResponse): void {
  const object = response as { [FIRST]?: true; [SECOND]?: true };
  object[FIRST] = true;
  object[SECOND] = true;
  delete object[FIRST];
  delete object[SECOND];
}
