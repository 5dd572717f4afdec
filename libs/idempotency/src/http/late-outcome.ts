import { RecordUnreadableError } from '../core/errors.js';
import type { Steps } from '../core/idempotency-storage.js';
import { decodeValue, encodeValue } from '../core/plain-value.js';

/** The step under which an outcome is kept that came after the response: no name that a handler can choose. */
export const LATE_STEP = '\u0000late';

/** An error as an exception filter would answer it. */
export interface HandlerError {
  readonly status: number;
  readonly response: string | object;
  /** Name of its class, for filters that catch that class alone. */
  readonly name?: string | undefined;
}

/** What a handler returned: one value, or the emissions of an Observable that had none or several. */
export interface HandlerValue {
  readonly value?: unknown;
  readonly emissions?: readonly unknown[];
}

export type LateOutcome =
  ({ readonly phase: 'returned' } & HandlerValue) | ({ readonly phase: 'threw' } & HandlerError);

/** An outcome as `lateOutcomeIn` reads it, or `undefined` when it is no plain data. */
export function encodeLateOutcome(late: LateOutcome): Uint8Array | undefined {
  if (late.phase === 'threw') return encodeValue({ ...late });
  const { value, emissions } = late;
  return encodeValue({ phase: 'returned', ...(emissions === undefined ? { value } : { emissions }) });
}

/** What an earlier attempt came to after its client had been answered by something else; undefined when there is none. */
export function lateOutcomeIn(steps: Steps): LateOutcome | undefined {
  const bytes = steps.get(LATE_STEP);
  if (bytes === undefined) return undefined;
  const late = decodeValue(bytes) as Partial<
    Record<'phase' | 'value' | 'emissions' | 'status' | 'response' | 'name', unknown>
  > | null;
  if (late?.phase === 'returned') {
    const { value, emissions } = late;
    return Array.isArray(emissions) ? { phase: 'returned', emissions } : { phase: 'returned', value };
  }
  const { status, response, name } = late ?? {};
  if (
    late?.phase === 'threw' &&
    typeof status === 'number' &&
    (typeof response === 'string' || isObject(response))
  ) {
    return { phase: 'threw', status, response, ...(typeof name === 'string' ? { name } : {}) };
  }
  throw new RecordUnreadableError('its late outcome is malformed');
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
