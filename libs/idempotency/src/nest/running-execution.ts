import { AsyncLocalStorage } from 'node:async_hooks';
import type { IdempotentOperation } from './idempotent-operation.js';

/** What the stand-in of a method, and parameter decorators, find while an execution of it is under way. */
export interface RunningExecution {
  /** Nest's context of it: interceptors inside ours recognise it. */
  readonly context: object;
  /** The stand-in this execution is about; nested calls of other decorated methods are not. */
  readonly standIn: unknown;
  /** `true` while the code that asks was called by the handler. */
  readonly insideHandler: boolean;
  readonly operation: IdempotentOperation;
  /** Runs the handler, or answers in its place. */
  readonly handle: (handler: () => unknown) => unknown;
}

const SHARED = Symbol.for('nestjs-idempotent:running-execution');
const holder = globalThis as { [SHARED]?: AsyncLocalStorage<RunningExecution> };

/** One per process, also when the package is loaded twice. */
export const runningExecution: AsyncLocalStorage<RunningExecution> = (holder[SHARED] ??=
  new AsyncLocalStorage());
