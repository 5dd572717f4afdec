/** Where the payment service is. */
export interface PaymentsAddress {
  /** Changes when our own service had to come back on another port. */
  url(): string;
  /** It did not answer: if it is our own and has died, it is started again, in the background. */
  lost(): void;
}

export const PAYMENTS_ADDRESS = Symbol('PaymentsAddress');
