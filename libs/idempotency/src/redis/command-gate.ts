import { performance } from 'node:perf_hooks';
import { StorageUnavailableError } from '../core/errors.js';
import type { RedisClient, RedisCommand } from './redis-client.js';

/**
 * As long as the client library would by itself wait to write a command. Redis answers in order, so who was sent after
 * a command that waits for so long would wait too.
 */
const SILENT_AFTER_MS = 5_000;

/**
 * Lets commands through only while Redis answers. Without it they would pile up in the client, in the socket and in
 * Redis for the length of an outage, and all of them, claims of callers who are long gone among them, would be
 * executed when it is over.
 *
 * Those on the way when Redis falls silent keep waiting. Their answers open the gate again.
 */
export class CommandGate {
  private unanswered = 0;
  private lastSignAt = 0;

  constructor(
    private readonly client: RedisClient,
    private readonly where: string,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** For how long Redis has owed an answer without giving any. */
  get silentMs(): number {
    return this.unanswered === 0 ? 0 : this.now() - this.lastSignAt;
  }

  /** Why nothing can be sent now; `undefined` when it can. */
  refusal(): StorageUnavailableError | undefined {
    if (!this.client.isReady()) return notSent(this.where, 'is not connected');
    if (this.unanswered === 0 || this.silentMs <= SILENT_AFTER_MS) return undefined;
    return notSent(this.where, `has not answered for ${Math.round(this.silentMs)} ms`);
  }

  send(command: RedisCommand): Promise<unknown> {
    const refusal = this.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (this.unanswered === 0) this.lastSignAt = this.now();
    const answer = this.client.send(command);
    this.unanswered += 1;
    answer.then(this.answered, this.answered);
    return answer;
  }

  private readonly answered = (): void => {
    this.unanswered -= 1;
    this.lastSignAt = this.now();
  };
}

export function notSent(where: string, reason: string): StorageUnavailableError {
  return new StorageUnavailableError(
    `${where} ${reason}, so nothing was sent. It is used again as soon as it answers: see to the server and the network.`,
  );
}
