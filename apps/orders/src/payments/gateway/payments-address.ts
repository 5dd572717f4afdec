/** Where the payment service is. */
export interface PaymentsAddress {
  /** Changes when our own service had to come back on another port. */
  url(): string;
  /** It did not answer, or failed: if it is our own, and has died or is not well, it is started again, in the background. */
  lost(): void;
}

export const PAYMENTS_ADDRESS = Symbol('PaymentsAddress');
