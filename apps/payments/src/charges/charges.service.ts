import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { Problem } from '../../../shared/src/problems/problem.js';
import { Books } from '../ledger/books.js';
import type { Answer, Charge } from '../ledger/entry.js';
import { OncePerKey } from '../ledger/once-per-key.js';
import type { Decision } from '../ledger/once-per-key.js';
import { authorize } from './card-network.js';
import type { ChargeRequest } from './requests.js';

export interface ChargeView extends Charge {
  readonly status: 'succeeded' | 'refunded';
}

@Injectable()
export class ChargesService {
  constructor(
    private readonly books: Books,
    private readonly once: OncePerKey,
  ) {}

  charge(key: string, { amount, card, reference }: ChargeRequest): Promise<Answer> {
    return this.once.run('charge', key, { amount, card, reference }, async () => {
      if ((await authorize(card)) === 'declined') return declined();
      const charge = { id: `ch_${randomUUID()}`, amount, reference, createdAt: new Date().toISOString() };
      return { charge, answer: { status: 201, body: { ...charge, status: 'succeeded' } } };
    });
  }

  /** The charges of an order or whatever it was for, oldest first, also those that were given back. */
  list(reference: string): readonly ChargeView[] {
    return this.books.chargesFor(reference).map((charge) => ({
      ...charge,
      status: this.books.refundOf(charge.id) ? 'refunded' : 'succeeded',
    }));
  }
}

/** An answer like every other: who asks again with the same key is not asking the bank again. */
function declined(): Decision {
  const problem = new Problem(402, 'card-declined', 'The bank declines this card. Try another one.');
  return { answer: { status: 402, body: problem.getResponse() as object } };
}
