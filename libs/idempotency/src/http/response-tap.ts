import type { HeaderList, RecordedResponse } from './recorded-response.js';

/** The status line and the headers as they are about to go out. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: HeaderList;
  readonly chunked: boolean;
}

/** What to do with a response that has ended. */
export type Verdict =
  /** Send it as it is, with these headers added. */
  | { readonly kind: 'send'; readonly headers: HeaderList }
  /** Throw it away and send the recorded one. */
  | { readonly kind: 'replace'; readonly response: RecordedResponse; readonly headers: HeaderList };

/** Who decides. A tap asks exactly one of these, once per response, and holds the bytes until the answer. */
export interface ResponseJudge {
  /** The response has ended. */
  ended(head: ResponseHead, body: Buffer): Promise<Verdict>;
  /** The body has crossed `limit`; held bytes and the rest flow after the answer. */
  tooLarge(head: ResponseHead): Promise<Verdict>;
  /** Most bytes that may be held. */
  readonly limit: number;
}
