import { AsyncResource } from 'node:async_hooks';

type Emit = (...args: unknown[]) => unknown;

/**
 * Whoever listens is called where he has asked: drivers call from where the connection was made, which is in no transaction
 * or in that of somebody else.
 */
export function tellHere(asked: object): void {
  const emitter = asked as { emit?: Emit };
  const emit = emitter.emit?.bind(emitter);
  if (emit === undefined) return;
  const here = new AsyncResource('IdempotentRows');
  emitter.emit = (...args: unknown[]) => here.runInAsyncScope(emit, undefined, ...args);
}
