import { carriedValue } from '../../core/carried-value-reader.js';
import type { KnownClasses } from '../../core/carried-value-format.js';
import type { CarriedValue } from '../../core/carried-value.js';
import type { StoredResult } from '../../core/result.js';
import type { HandlerValue } from '../../http/late-outcome.js';
import { responseFromResult, type Resource } from '../../http/recorded-response.js';
import type { RecordedError } from '../contexts/transport-errors.js';

/** What a handler came to, as a record keeps it. */
export type ValueOutcome =
  | {
      readonly kind: 'returned';
      readonly value: HandlerValue;
      /** What the handler acknowledged the message with by itself. */
      readonly acknowledged?: readonly unknown[] | undefined;
    }
  | { readonly kind: 'threw'; readonly error: RecordedError };

/** What of an outcome can be kept; `reason` when it cannot. */
export function outcomeToResult(
  outcome: ValueOutcome,
  carry: (value: unknown) => CarriedValue,
  maxBytes: number,
  resource: Resource | undefined,
): { readonly result: StoredResult; readonly reason?: string } {
  const { carried, meta } = carriedOutcome(outcome, carry);
  if (carried.kind === 'refused') return { result: bodyless(resource), reason: carried.reason };
  if (carried.bytes.length > maxBytes) return { result: bodyless(resource) };
  return { result: { kind: 'value', meta: { ...meta, resource }, body: carried.bytes } };
}

/** It happened; what it came to is not kept. */
export function bodyless(resource: Resource | undefined): StoredResult {
  return { kind: 'bodyless', meta: { resource }, body: new Uint8Array(0) };
}

function carriedOutcome(
  outcome: ValueOutcome,
  carry: (value: unknown) => CarriedValue,
): { readonly carried: CarriedValue; readonly meta: Readonly<Record<string, unknown>> } {
  if (outcome.kind === 'threw') return { carried: carry(outcome.error), meta: { threw: true } };
  const { value, emissions } = outcome.value;
  const { acknowledged } = outcome;
  if (acknowledged !== undefined) {
    return { carried: carry([acknowledged, emissions ?? [value]]), meta: { acknowledged: true } };
  }
  if (emissions === undefined) return { carried: carry(value), meta: {} };
  return { carried: carry(emissions), meta: { emissions: true } };
}

/** What a record holds for a handler by value: a value, an error as it was described, or nothing that can be given. */
export type KeptOutcome =
  | {
      readonly kind: 'returned';
      readonly value: HandlerValue;
      readonly acknowledged?: readonly unknown[];
    }
  | { readonly kind: 'threw'; readonly error: unknown }
  | { readonly kind: 'nothing' };

/** @throws RecordUnreadableError */
export function resultToOutcome(result: StoredResult, classes: KnownClasses): KeptOutcome {
  const { kind, meta, body } = result;
  if (kind === 'response') return fromResponse(result);
  if (kind === 'bodyless') return { kind: 'nothing' };
  const value = carriedValue(body, classes);
  if (meta['threw'] === true) return { kind: 'threw', error: value };
  if (meta['acknowledged'] === true) {
    const [acknowledged, emissions] = value as [readonly unknown[], readonly unknown[]];
    return { kind: 'returned', value: several(emissions), acknowledged };
  }
  if (meta['emissions'] !== true) return { kind: 'returned', value: { value } };
  return { kind: 'returned', value: several(value as readonly unknown[]) };
}

function several(emissions: readonly unknown[]): HandlerValue {
  return emissions.length === 1 ? { value: emissions[0] } : { value: emissions.at(-1), emissions };
}

/** A route of the same `operation` has run: its body is the value, when it was JSON. */
function fromResponse(result: StoredResult): KeptOutcome {
  const { status, headers, body } = responseFromResult(result);
  const type = headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1];
  if (status >= 300 || typeof type !== 'string' || !/\bjson\b/i.test(type)) return { kind: 'nothing' };
  try {
    return { kind: 'returned', value: { value: JSON.parse(Buffer.from(body).toString('utf8')) as unknown } };
  } catch {
    return { kind: 'nothing' }; // compressed by the application itself, or cut off
  }
}
