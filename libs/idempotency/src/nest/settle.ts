import { from, isObservable, lastValueFrom, toArray } from 'rxjs';
import type { HandlerValue } from '../http/late-outcome.js';

/** Waits for a handler. An Observable is awaited here, so that a disconnect does not tear it down. */
export async function settle(result: unknown): Promise<HandlerValue> {
  const value: unknown = await result;
  if (!isObservable(value)) return { value };
  const emissions = await lastValueFrom(value.pipe(toArray()));
  return emissions.length === 1 ? { value: emissions[0] } : { value: emissions.at(-1), emissions };
}

/** What the interceptors inside ours get to see: every emission of an Observable, as if it had not been awaited. */
export function shown({ value, emissions }: HandlerValue): unknown {
  return emissions === undefined ? value : from(emissions);
}
