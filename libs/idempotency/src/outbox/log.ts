import type { LoggerService } from '@nestjs/common';
import type { Clock } from '../core/ports.js';
import type { OutboxEvent, OutboxEventMessage } from './events.js';
import { textOf } from './publisher.js';

/** While a broker is away, every message fails again and again: one line in so much time says as much. */
const QUIET_MS = 60_000;

/** What an operator should read of a relay; everything else is on `events$`. Payloads are in no line. */
export class RelayLog {
  private quietUntil = -Infinity;
  private unsaid = 0;

  constructor(
    private readonly logger: LoggerService,
    private readonly clock: Clock,
  ) {}

  say(event: OutboxEvent): void {
    const line = this.lineOf(event);
    if (line !== undefined) this.logger[line.level](line.text);
  }

  private lineOf({ type, message, error, count, retryInMs }: OutboxEvent): Line | undefined {
    switch (type) {
      case 'delivered':
        return undefined;
      case 'failed':
        return message && this.failedLine(message, error, retryInMs);
      case 'dead':
        return message && { level: 'error', text: deadLine(message, error) };
      case 'lease-lost':
        return {
          level: 'warn',
          text: `${count} message(s) were published after their lease had gone to another relay, and are sent twice. Raise \`relay.lease\`, or find what has stopped this process.`,
        };
      case 'unmarked':
        return {
          level: 'warn',
          text: `${count} message(s) were published, and the database did not take that in: they are sent again when their lease is over. Cause: ${textOf(error)}`,
        };
      case 'database-away':
        return {
          level: 'warn',
          text: `The relay cannot reach its outbox. It goes on asking, and says when it is back. Cause: ${textOf(error)}`,
        };
      case 'database-back':
        return { level: 'log', text: 'The relay reaches its outbox again.' };
    }
  }

  private failedLine(
    message: OutboxEventMessage,
    error: unknown,
    retryInMs: number | undefined,
  ): Line | undefined {
    const now = this.clock.monotonicMs();
    if (now < this.quietUntil) {
      this.unsaid += 1;
      return undefined;
    }
    const others = this.unsaid === 0 ? '' : ` ${this.unsaid} more such failures since this was said last.`;
    this.quietUntil = now + QUIET_MS;
    this.unsaid = 0;
    const when = retryInMs === undefined ? 'when its lease is over' : `in ${retryInMs} ms`;
    const text = `Publishing ${whoIs(message)} has failed and is tried again ${when}; what is behind it in its aggregate waits. Cause: ${textOf(error)}.${others}`;
    return { level: 'warn', text };
  }
}

interface Line {
  readonly level: 'log' | 'warn' | 'error';
  readonly text: string;
}

function deadLine(message: OutboxEventMessage, error: unknown): string {
  const { id, aggregate, attempt } = message;
  const held =
    aggregate === undefined
      ? 'It is in no aggregate, so nothing waits behind it'
      : `Every later message of \`${aggregate}\` is held back until you decide`;
  return `Publishing ${whoIs(message)} is given up after ${attempt} ${attempt === 1 ? 'try' : 'tries'}. ${held}: outbox.redeliver('${id}') sends it, outbox.discard('${id}') leaves it out. Cause: ${textOf(error)}`;
}

function whoIs({ id, pattern, aggregate, correlationId, attempt }: OutboxEventMessage): string {
  const of = aggregate === undefined ? '' : `, aggregate ${aggregate}`;
  return `[${pattern}, message ${id}${of}, try ${attempt}, correlation ${correlationId}]`;
}
