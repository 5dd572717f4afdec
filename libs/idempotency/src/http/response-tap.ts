import type { Framing, HeaderList, RecordedResponse } from './recorded-response.js';

/** The status line and the headers as they are about to go out. */
export interface ResponseHead {
  readonly status: number;
  readonly reason?: string | undefined;
  readonly headers: HeaderList;
  /** Names of headers that were there before our turn, and that somebody has taken away since. */
  readonly removed: readonly string[];
  readonly trailers?: HeaderList;
  readonly framing: Framing;
  /** It was written past the hooks of the framework. */
  readonly past?: true;
}

/** What to do with a response that has ended. */
export type Verdict =
  /** Send it as it is, with these headers added. */
  | {
      readonly kind: 'send';
      readonly headers: HeaderList;
      /**
       * The handler is still running and may want to answer too: whatever it does to the response from now on does
       * nothing, instead of failing, because a handler that fails would be run again.
       */
      readonly deafAfter?: boolean;
    }
  /** Throw it away and send the recorded one. */
  | { readonly kind: 'replace'; readonly response: RecordedResponse; readonly headers: HeaderList };

/** Who decides. A tap asks one of the first two, once per response, and holds the bytes until the answer. */
export interface ResponseJudge {
  /** The response has ended. */
  ended(head: ResponseHead, body: Buffer): Promise<Verdict>;
  /**
   * The body has crossed `limit`; held bytes and the rest flow after the answer.
   *
   * @param isWhole all of it is there already
   */
  tooLarge(head: ResponseHead, isWhole: boolean): Promise<Verdict>;
  /** Somebody waits for the response to be out, so it must not be held until that somebody has finished. */
  awaited?(): void;
  /** Set by the tap: tells those who wait for the response to be out that it is, before it is, so that they go on. */
  sayOut?: () => void;
  /** The body has broken off, and the connection with it: there will be no answer. */
  abandoned?(): void;
  /** Another piece of the body has come. */
  progressed?(): void;
  /** Calls `fn` when nobody waits for the response any more, and it has not ended. */
  whenLetGo?(fn: () => void): void;
  /** Most bytes that may be held. */
  readonly limit: number;
}
