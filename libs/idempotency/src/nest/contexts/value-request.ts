import type { CarriedDocument } from './graphql-document.js';

/** What we use of a message or of a field that is resolved, the same for every transport. */
export interface ValueRequest {
  /** Name of the operation, unless the decorator gives one. */
  readonly operation: string;
  /** Whom guards or middleware have put on the socket or the context. */
  readonly user: unknown;
  /** What `messageKey` reads and what is compared: the message, or the arguments of a field. */
  readonly payload: unknown;
  /** What the payload is called in sentences for the client. */
  readonly payloadName: 'message' | 'arguments';
  /** Names and values in turn. */
  readonly headers: readonly string[];
  /** What a message says of its correlation beside its headers. */
  readonly correlationId?: unknown;
  /** Tells executions apart that share one header; empty for the first or only one. */
  readonly position: string;
  /** Whose header it is, where several documents may share one. */
  readonly document?: CarriedDocument | undefined;
  /** Nobody waits for a reply, so there is none to be kept. */
  readonly noReply: boolean;
}
