import type { Work } from '../core/work.js';
import { finalErrorAgain } from './final-error.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { NotBegun } from './recover.js';
import { runHandler } from './run-handler.js';
import type { Transport } from './transports.js';

/**
 * In the place of a handler whose earlier attempt has ended in a final error. As long as steps are not undone it runs once
 * more, to tell how: finished steps give their results, the first other one throws that error. Whatever it comes to this
 * time, the error stands.
 *
 * @throws the error; NotBegun when the handler could not run
 */
export async function endAgain(
  work: Work,
  error: Uint8Array,
  { runtime, transport }: { readonly runtime: IdempotencyRuntime; readonly transport: Transport },
  handler: () => unknown,
): Promise<never> {
  if (work.steps.needsHandler) {
    await runHandler(work, runtime.problems, handler).catch((cause: unknown) => {
      if (cause instanceof NotBegun) throw cause;
    });
  }
  throw finalErrorAgain(runtime.transportErrors, transport, error);
}
