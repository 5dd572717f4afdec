import type { Clock, Timers } from '../core/ports.js';
import type { Work } from '../core/work.js';
import type { HandlerError } from './late-outcome.js';
import type { ProblemCode } from './problem-details.js';
import type { RecordedResponse } from './recorded-response.js';
import type { RecordPolicy } from './retention.js';

export interface ExecutionTerms {
  readonly work: Work;
  readonly ttlMs: number;
  readonly record: RecordPolicy;
  readonly keepsHeader: (name: string) => boolean;
  readonly maxResponseBytes: number;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Whether the code that runs now was called by the handler. */
  readonly insideHandler: () => boolean;
  /** The handler sends its response by itself (`@Res()`), so a value alone cannot be sent in its place. */
  readonly answersItself: boolean;
  /** What an error that no filter will ever see would have been answered with; undefined for unexpected ones. */
  readonly describeError: (error: unknown) => HandlerError | undefined;
  /** An error that went out with this status, for a later attempt to say again. Never throws. */
  readonly finalError: (error: unknown, status: number) => Uint8Array;
  /** A refusal of ours, to be sent in the place of an answer that must not go out. */
  readonly refusal: (code: ProblemCode) => Pick<RecordedResponse, 'status' | 'headers' | 'body'>;
  readonly onFailure: (error: unknown) => void;
}
