export interface Charge {
  readonly id: string;
  /** In minor units: cents, öre, yen. */
  readonly amount: number;
  /** What the charge is for, in the caller's words: the id of an order. */
  readonly reference: string;
  readonly createdAt: string;
}

export interface Refund {
  readonly id: string;
  /** The charge that it gives back, whole. */
  readonly charge: string;
  readonly createdAt: string;
}

export interface Answer {
  readonly status: number;
  readonly body: object;
}

/**
 * What was decided for one key: effect and answer in one. They are written together, so no crash leaves money moved
 * without an answer to repeat, or an answer without the money.
 */
export interface Entry {
  readonly key: string;
  /** Hash of the operation and what was sent: the same key with another one is refused. */
  readonly fingerprint: string;
  readonly answer: Answer;
  /** Neither: the card was declined, and that answer stays. */
  readonly charge?: Charge;
  readonly refund?: Refund;
}
