import type { ServerResponse } from 'node:http';
import { Departure, isClosed } from './departure.js';
import { writtenHeaders } from './header-list.js';
import { HeldBody } from './held-body.js';
import { isHttp2, RawResponse, type Method, type ResponseMethods } from './raw-response.js';
import type { Framing, HeaderList, HeaderValue, RecordedResponse } from './recorded-response.js';
import type { ResponseHead, ResponseJudge, Verdict } from './response-tap.js';
import { headersSent, pretendSent, stopPretending, type SentState } from './sent-state.js';
import { WaitingWriters } from './waiting-writers.js';

type WriteCallback = (error?: Error | null) => void;
type Listener = (...args: unknown[]) => void;

/**
 * `holding`: bytes are kept back. `judging`: it has ended, or is too large, and the judge decides. `open`: all passes.
 * `deaf`: it is out, and what its handler still does to it does nothing. `suspended`: the same, but it is not out.
 */
type Mode = 'holding' | 'suspended' | 'judging' | 'open' | 'deaf';

/**
 * Holds back what a handler, interceptor or filter writes to a raw response until the judge has decided.
 *
 * It replaces methods on the object itself and never puts the old ones back: who patched after us calls us, and whom we
 * patched over (compression, sessions) sees everything once we let it pass.
 */
export class RawResponseTap implements SentState {
  committed = false;
  ended = false;
  private mode: Mode = 'holding';
  private readonly held = new HeldBody();
  private deafAfter = false;
  private readonly writers = new WaitingWriters();
  private readonly trailers: (readonly [string, HeaderValue])[] = [];
  private readonly raw: RawResponse;
  private readonly departure: Departure;

  /** @param past whether what is written here goes past the hooks of a framework that knows others */
  constructor(
    private readonly response: ServerResponse,
    private readonly judge: ResponseJudge,
    private readonly onFailure: (error: unknown) => void,
    private readonly past = false,
  ) {
    this.raw = new RawResponse(response);
    const { setHeader, appendHeader, removeHeader } = this.raw.original;
    const ours: ResponseMethods = {
      writeHead: this.writeHead as Method,
      write: this.write as Method,
      end: this.end as Method,
      flushHeaders: this.flushHeaders,
      setHeader: this.unlessCommitted(setHeader),
      appendHeader: this.unlessCommitted(appendHeader),
      removeHeader: this.unlessCommitted(removeHeader),
      addTrailers: this.addTrailers,
      destroy: this.destroy as Method,
      on: this.on as Method,
      addListener: this.on as Method,
      prependListener: this.told('prependListener'),
      prependOnceListener: this.told('prependOnceListener'),
    };
    Object.assign(response, ours);
    pretendSent(response, this);
    this.departure = new Departure(
      response,
      () => this.mode !== 'open' && this.mode !== 'deaf',
      (fn) => judge.whenLetGo?.(fn),
    );
    // Whoever asks to be told is about to listen, to one event and then to the other.
    judge.sayOut = () => process.nextTick(() => this.departure.tellEarly());
  }

  /** The client has left, whether or not those who write have learned it. */
  get clientGone(): boolean {
    return this.departure.happened || isClosed(this.response);
  }

  /** Somebody else holds this response back: what is done to it here meanwhile does nothing. */
  suspend(): void {
    this.mode = 'suspended';
  }

  /** It was not sent after all. */
  resume(): void {
    this.mode = 'holding';
  }

  /** Lets everything pass from now on: somebody else records this response. */
  open({ deafAfter = false } = {}): void {
    if (this.pass()) this.departure.tell('close');
    if (deafAfter) this.response.once('finish', () => (this.mode = 'deaf'));
  }

  /** Sends a recorded response that was written past the hooks: it goes out as it was written. */
  replaceWith(recorded: RecordedResponse, headers: HeaderList): void {
    this.pass();
    this.orDestroy(() => this.raw.replace(recorded, headers));
  }

  private readonly writeHead = (status: number, ...rest: unknown[]): ServerResponse => {
    if (this.isDeaf()) return this.response;
    if (this.mode === 'open') return this.raw.call('writeHead', status, ...rest) as ServerResponse;
    if (this.committed) throw headersSent('write');
    this.response.statusCode = status;
    const [reason, headers] = typeof rest[0] === 'string' ? rest : [undefined, rest[0] ?? rest[1]];
    if (reason !== undefined && !isHttp2(this.response)) this.response.statusMessage = reason as string;
    for (const [name, value] of writtenHeaders(headers)) this.raw.call('setHeader', name, value);
    this.held.inPieces();
    this.committed = true;
    return this.response;
  };

  private readonly flushHeaders = (): void => {
    if (this.mode === 'open') this.raw.call('flushHeaders');
    else if (!this.isDeaf()) {
      this.held.inPieces();
      this.committed = true;
    }
  };

  private readonly addTrailers = (trailers: unknown): void => {
    if (this.isDeaf()) return;
    if (this.mode !== 'open') this.trailers.push(...writtenHeaders(trailers));
    this.raw.call('addTrailers', trailers);
  };

  private readonly write = (
    chunk: unknown,
    encoding?: BufferEncoding | WriteCallback,
    callback?: WriteCallback,
  ): boolean => {
    if (this.mode === 'open') return this.raw.call('write', chunk, encoding, callback) as boolean;
    const done = typeof encoding === 'function' ? encoding : callback;
    if (done) process.nextTick(done);
    if (this.isDeaf()) return true;
    if (this.ended) return false;
    this.committed = true;
    this.held.inPieces();
    this.held.add(chunk, encoding);
    this.judge.progressed?.();
    if (this.mode === 'holding' && this.held.bytes > this.judge.limit) void this.overflow();
    // Past the limit the writer has to wait for the judge, or the held bytes would grow without end.
    this.writers.wait = this.held.bytes > this.judge.limit;
    return !this.writers.wait;
  };

  private readonly end = (
    chunk?: unknown,
    encoding?: BufferEncoding | WriteCallback,
    callback?: WriteCallback,
  ): ServerResponse => {
    if (this.mode === 'open') {
      this.raw.call('end', chunk, encoding, callback);
      if (this.deafAfter) this.mode = 'deaf';
      return this.response;
    }
    const done = [chunk, encoding, callback].find((argument) => typeof argument === 'function') as
      WriteCallback | undefined;
    if (this.ended || this.isDeaf()) {
      if (done) process.nextTick(done);
      return this.response;
    }
    if (done) this.response.once('finish', done);
    if (chunk !== undefined && chunk !== null && typeof chunk !== 'function') this.held.add(chunk, encoding);
    this.committed = true;
    this.ended = true;
    if (this.mode === 'judging') return this.response;
    if (this.held.bytes > this.judge.limit) void this.overflow();
    else void this.finish();
    return this.response;
  };

  private readonly destroy = (error?: Error): ServerResponse => {
    // A stream has failed that somebody was sending.
    if (this.mode === 'holding') this.judge.abandoned?.();
    return this.raw.call('destroy', error) as ServerResponse;
  };

  private told(method: 'prependListener' | 'prependOnceListener'): Method {
    return (event, listener) => {
      this.tell(event);
      return this.raw.call(method, event, listener);
    };
  }

  private tell(event: unknown): void {
    if (event === 'finish' || event === 'close') this.judge.awaited?.();
  }

  private readonly on = (event: string | symbol, listener: Listener): ServerResponse => {
    this.tell(event);
    if (event === 'drain' && (this.mode === 'holding' || this.mode === 'judging')) {
      this.writers.add(listener);
      return this.response;
    }
    return this.raw.call('on', event, listener) as ServerResponse;
  };

  private unlessCommitted(change: Method): Method {
    return (...args) => {
      if (this.isDeaf()) return this.response;
      if (this.mode !== 'open' && this.committed) throw headersSent('set');
      return change.apply(this.response, args);
    };
  }

  private async finish(): Promise<void> {
    this.mode = 'judging';
    const { framing } = this.held;
    const body = this.held.take();
    let head: ResponseHead | undefined;
    const verdict = await this.ask(() => this.judge.ended((head = this.head(framing)), body));
    const nobodyHears = this.pass();
    this.orDestroy(() => {
      // As far as anybody could know it was sent: what was changed meanwhile goes nowhere.
      if (head !== undefined) this.raw.setStatus(head);
      if (verdict.kind === 'replace') this.raw.replace(verdict.response, verdict.headers);
      else {
        this.raw.addHeaders(verdict.headers);
        this.raw.endWith(body, framing);
        if (verdict.deafAfter) this.mode = 'deaf';
      }
    });
    // Node says nothing more of what is written for a client that is gone.
    if (nobodyHears) this.departure.tell('finish', 'close');
  }

  private async overflow(): Promise<void> {
    this.mode = 'judging';
    const verdict = await this.ask(() => this.judge.tooLarge(this.head(this.held.framing), this.ended));
    const nobodyHears = this.pass();
    this.orDestroy(() => {
      if (verdict.kind === 'replace') {
        this.raw.replace(verdict.response, verdict.headers);
        // What is still being written goes nowhere, and whoever waits for room must not wait for ever.
        this.mode = 'deaf';
        this.writers.goOn(this.raw, true);
        return;
      }
      this.raw.addHeaders(verdict.headers);
      const deafAfter = verdict.deafAfter === true;
      if (this.ended) {
        this.raw.endWith(this.held.take(), this.held.framing);
        if (deafAfter) this.mode = 'deaf';
      } else {
        this.deafAfter = deafAfter;
        this.writers.goOn(this.raw, this.raw.call('write', this.held.take()) as boolean);
      }
    });
    if (nobodyHears)
      this.departure.tell(...(this.ended ? (['finish', 'close'] as const) : (['close'] as const)));
  }

  private head(framing: Framing): ResponseHead {
    const { trailers, past } = this;
    return {
      ...this.raw.head(framing),
      ...(trailers.length === 0 ? {} : { trailers }),
      ...(past ? { past } : {}),
    };
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

  /** Nobody is left to catch what is thrown while held bytes flow, and the client must not wait for ever. */
  private orDestroy(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.onFailure(error);
      this.response.destroy();
    }
  }

  /** `true`: the client has left, and those who write do not know it yet. */
  private pass(): boolean {
    this.mode = 'open';
    stopPretending(this.response);
    return this.departure.reveal();
  }

  private isDeaf(): boolean {
    return this.mode === 'deaf' || this.mode === 'suspended';
  }
}
