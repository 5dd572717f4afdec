import { Inject, Injectable } from '@nestjs/common';
import { Problem } from '../../../../shared/src/problems/problem.js';
import { CrashPoints } from '../../crash/crash-points.js';
import { PAYMENTS_ADDRESS } from './payments-address.js';
import type { PaymentsAddress } from './payments-address.js';

/** A charge as the payment service tells it. */
export interface Charge {
  readonly id: string;
  readonly amount: number;
  readonly reference: string;
  readonly status: 'succeeded' | 'refunded';
}

export interface ChargeRequest {
  readonly amount: number;
  readonly card: string;
  /** What it is for: the id of the order. */
  readonly reference: string;
}

/** One call: the same key for every attempt, so that it happens once however often it is sent. */
export interface Call {
  readonly idempotencyKey: string;
  /** Ends the waiting, not the charge. */
  readonly signal?: AbortSignal;
}

/** The slowest card takes 3 s. */
const PATIENCE_MS = 8_000;

/** The payment service over HTTP. What it answers is final; where no answer came, nobody knows, and the same call must be sent again. */
@Injectable()
@CrashPoints()
export class PaymentGateway {
  constructor(@Inject(PAYMENTS_ADDRESS) private readonly address: PaymentsAddress) {}

  /** @throws Problem 402 `card-declined`, final; 503 `payments-unreachable`, to be tried again */
  async charge(request: ChargeRequest, { idempotencyKey, signal }: Call): Promise<Charge> {
    return (await this.ask('POST', '/charges', { body: request, idempotencyKey, signal })) as Charge;
  }

  /** Gives a charge back, whole. */
  async refund(charge: string, { idempotencyKey }: Call): Promise<void> {
    await this.ask('POST', '/refunds', { body: { charge }, idempotencyKey });
  }

  /** All charges for an order, also those that were given back. */
  async chargesFor(reference: string): Promise<readonly Charge[]> {
    const query = new URLSearchParams({ reference }).toString();
    return (await this.ask('GET', `/charges?${query}`)) as Charge[];
  }

  /** Rejects when the service does not answer. */
  async check(): Promise<void> {
    await this.ask('GET', '/health');
  }

  private async ask(
    method: string,
    path: string,
    call: Partial<Call> & { body?: object } = {},
  ): Promise<unknown> {
    const { status, body } = await this.send(method, path, call);
    if (status < 300) return body;
    if (status === 402) throw declined();
    if (status >= 500) this.address.lost();
    throw unexpected(`${method} ${path.split('?')[0]}`, status, body);
  }

  private async send(
    method: string,
    path: string,
    { body, idempotencyKey, signal }: Partial<Call> & { body?: object },
  ): Promise<{ status: number; body: unknown }> {
    const patience = AbortSignal.timeout(PATIENCE_MS);
    try {
      const response = await this.request(this.address.url() + path, {
        method,
        headers: {
          ...(body && { 'content-type': 'application/json' }),
          ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        },
        ...(body && { body: JSON.stringify(body) }),
        signal: signal ? AbortSignal.any([signal, patience]) : patience,
      });
      return { status: response.status, body: await this.bodyOf(response) };
    } catch (cause) {
      this.address.lost();
      throw unreachable(cause);
    }
  }

  private async request(url: string, init: RequestInit): Promise<Response> {
    return fetch(url, init);
  }

  private async bodyOf(response: Response): Promise<unknown> {
    return response.json();
  }
}

const declined = (): Problem =>
  new Problem(
    402,
    'card-declined',
    'The bank declines this card. Pay with another one, and a new Idempotency-Key.',
  );

/** Not kept, since nobody knows whether money moved: the retry asks the service under the same key. */
const unreachable = (cause: unknown): Problem =>
  new Problem(
    503,
    'payments-unreachable',
    'The payment service gave no answer, so nobody knows yet whether money moved. Send the same request with the same Idempotency-Key again: it moves once.',
    { retryAfter: 1, cause },
  );

const unexpected = (call: string, status: number, body: unknown): Problem =>
  new Problem(
    502,
    'payments-failed',
    `The payment service answered ${status} to ${call}. Send the same request with the same Idempotency-Key again.`,
    { retryAfter: 1, cause: body },
  );
