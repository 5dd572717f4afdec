import 'reflect-metadata';
import { runningExecution } from './running-execution.js';

export type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Replaces a decorated method: same name, length and metadata, so it may stand anywhere among other decorators.
 *
 * An interceptor cannot see the line between pipes and handler; the stand-in is that line. Without a running execution
 * of its own (a unit test, a call from another method) it is transparent.
 */
export function standInFor(original: Method): Method {
  const standIn = function (this: unknown, ...args: unknown[]): unknown {
    const execution = runningExecution.getStore();
    const call = () => original.apply(this, args);
    if (execution === undefined || execution.standIn !== standIn || execution.insideHandler) return call();
    return execution.handle(() => runningExecution.run({ ...execution, insideHandler: true }, call));
  };
  for (const key of Reflect.getOwnMetadataKeys(original) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, original), standIn);
  }
  Object.defineProperty(standIn, 'name', { value: original.name, configurable: true });
  Object.defineProperty(standIn, 'length', { value: original.length, configurable: true });
  return standIn;
}
