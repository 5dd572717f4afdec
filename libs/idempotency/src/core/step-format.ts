import { RecordUnreadableError } from './errors.js';
import type { Steps } from './idempotency-storage.js';
import { decodeValue, encodeValue } from './plain-value.js';

/** Names of steps that are the library's own begin with it; handlers cannot choose them. */
const OWN = '\u0000';

/** Holds the final error that the steps of this operation are undone for. */
export const UNDOING_STEP = `${OWN}undoing`;

const UNDONE = `${OWN}undone:`;

/** The longest name of a step, in bytes of UTF-8. */
export const LONGEST_STEP_NAME = 200;

/** What a step came to, as it is kept. */
export interface KeptStep {
  readonly value: unknown;
  /** It was given an `undo`, so an operation that ends in an error is not over without that. */
  readonly undoable: boolean;
}

/** Undefined when the value would not come back from JSON as it is. */
export function encodeStep({ value, undoable }: KeptStep): Uint8Array | undefined {
  return encodeValue({ value, ...(undoable ? { undo: true } : {}) });
}

/** @throws RecordUnreadableError when the bytes are not what `encodeStep` writes */
export function decodeStep(name: string, bytes: Uint8Array): KeptStep {
  const kept: unknown = decodeValue(bytes);
  if (typeof kept !== 'object' || kept === null || Array.isArray(kept)) {
    throw new RecordUnreadableError(`its step ${JSON.stringify(name)} is malformed`);
  }
  const { value, undo } = kept as { value?: unknown; undo?: unknown };
  return { value, undoable: undo === true };
}

/** The mark that says that a step is undone. */
export function undoneMark(name: string): string {
  return `${UNDONE}${name}`;
}

/** What a record tells of its steps. */
export interface StepNames {
  /** Finished ones, in the order in which they were saved. */
  readonly finished: readonly string[];
  readonly undone: ReadonlySet<string>;
  /** An attempt has ended in a final error and begun to undo. */
  readonly undoing: boolean;
}

export function stepNames(steps: Steps): StepNames {
  const names = [...steps.keys()];
  return {
    finished: names.filter((name) => !name.startsWith(OWN)),
    undone: new Set(names.filter((name) => name.startsWith(UNDONE)).map((name) => name.slice(UNDONE.length))),
    undoing: steps.has(UNDOING_STEP),
  };
}

/** Why this can be no name of a step; undefined when it can. */
export function stepNameProblem(name: unknown): string | undefined {
  if (typeof name !== 'string' || name === '') return 'it is not a text, or an empty one';
  if (name.startsWith(OWN)) return 'it begins with the character NUL';
  return new TextEncoder().encode(name).length > LONGEST_STEP_NAME
    ? `it is longer than ${LONGEST_STEP_NAME} bytes`
    : undefined;
}
