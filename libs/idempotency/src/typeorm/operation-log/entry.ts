import type { ValueTransformer } from 'typeorm';

/** One operation that was commanded, as it stays. */
export interface LoggedOperation {
  /** Rises with every entry; not without gaps, and not in the order of commits. A number in text: it may not fit a JavaScript number. */
  readonly sequence: string;
  /** Whose command ids these are; '' for nobody's in particular. */
  readonly scope: string;
  readonly commandId: string;
  /** What was commanded, for example `pay-order`. */
  readonly command: string;
  readonly content: unknown;
  /** Says "the same command with the same content". */
  readonly fingerprint: string;
  readonly appendedAt: Date;
}

/** As text: `jsonb` refuses a NUL in a string. */
export const asJson: ValueTransformer = {
  to: (content: unknown) => JSON.stringify(content),
  from: (text: string): unknown => JSON.parse(text),
};
