import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { Problem } from '../../../shared/src/problems/problem.js';
import { Books } from '../ledger/books.js';
import type { Answer } from '../ledger/entry.js';
import { OncePerKey } from '../ledger/once-per-key.js';
import type { RefundRequest } from './requests.js';

@Injectable()
export class RefundsService {
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly books: Books,
    private readonly once: OncePerKey,
  ) {}

  /** One after another: of two refunds of one charge under different keys, the second has to see the first. */
  refund(key: string, { charge }: RefundRequest): Promise<Answer> {
    const mine = this.turn.then(() => this.refundNow(key, charge));
    this.turn = mine.catch(() => undefined); // its caller hears of it
    return mine;
  }

  private refundNow(key: string, charge: string): Promise<Answer> {
    return this.once.run('refund', key, { charge }, async () => {
      if (!this.books.charge(charge)) {
        throw new Problem(404, 'charge-not-found', `There is no charge ${charge}.`);
      }
      if (this.books.refundOf(charge)) {
        throw new Problem(409, 'already-refunded', `Charge ${charge} was given back before.`);
      }
      const refund = { id: `re_${randomUUID()}`, charge, createdAt: new Date().toISOString() };
      return { refund, answer: { status: 201, body: refund } };
    });
  }
}
