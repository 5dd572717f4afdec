import type { Clock, Timers } from '../core/ports.js';
import type { Run } from '../core/run.js';
import type { HandlerError } from './late-outcome.js';
import type { RecordPolicy } from './retention.js';

export interface ExecutionTerms {
  readonly run: Run;
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
  readonly onFailure: (error: unknown) => void;
}
