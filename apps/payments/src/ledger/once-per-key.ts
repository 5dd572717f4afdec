import { Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import { Problem } from '../../../shared/src/problems/problem.js';
import { Faults } from '../faults/faults.js';
import type { FaultOperation } from '../faults/faults.js';
import { Books } from './books.js';
import type { Answer, Entry } from './entry.js';

/** What an operation comes to: the answer, and what moved. */
export type Decision = Pick<Entry, 'answer' | 'charge' | 'refund'>;

interface Running {
  readonly fingerprint: string;
  readonly answer: Promise<Answer>;
}

/**
 * One decision per key, for ever: whoever sends a key again gets the first answer, also while the first is still being
 * decided, also after a `kill -9`. What ends in an error is not decided, and may be sent again.
 */
@Injectable()
export class OncePerKey {
  private readonly running = new Map<string, Running>();

  constructor(
    private readonly books: Books,
    private readonly faults: Faults,
  ) {}

  /** How many are being decided now. */
  get size(): number {
    return this.running.size;
  }

  /**
   * @param operation the same key for another one is refused
   * @param request what was sent, in a fixed order of fields
   * @throws Problem `key-reused` when the key was first used for something else
   */
  async run(
    operation: FaultOperation,
    key: string,
    request: object,
    decide: () => Promise<Decision>,
  ): Promise<Answer> {
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([operation, request]))
      .digest('hex');
    const earlier = this.books.decided(key) ?? this.running.get(key);
    if (earlier) {
      if (earlier.fingerprint !== fingerprint) throw keyReused();
      return earlier.answer;
    }
    const answer = this.decideAndWrite(operation, key, fingerprint, decide).finally(() =>
      this.running.delete(key),
    );
    this.running.set(key, { fingerprint, answer });
    return answer;
  }

  private async decideAndWrite(
    operation: FaultOperation,
    key: string,
    fingerprint: string,
    decide: () => Promise<Decision>,
  ): Promise<Answer> {
    const decision = await decide();
    await this.faults.at('before-write', operation);
    await this.books.write({ key, fingerprint, ...decision });
    await this.faults.at('after-write', operation);
    return decision.answer;
  }
}

function keyReused(): Problem {
  return new Problem(
    422,
    'key-reused',
    'This Idempotency-Key was first used for another request. Use a new key for a new charge; repeat the request as it was to get its answer.',
  );
}
