import { Server } from '@nestjs/microservices';
import type { MessageHandler } from '@nestjs/microservices';
import { defer, lastValueFrom, mergeMap } from 'rxjs';
import { CrashPoints } from '../../crash/crash-points.js';
import { EventFailedError } from './event-failed.error.js';
import { InProcessContext } from './in-process.context.js';

/**
 * Hands events to the consumers of this process, as a strategy of Nest: guards, pipes, interceptors and filters work as with a
 * broker, and a consumer cannot tell the difference. What a broker would keep, the outbox keeps until `deliver` resolves.
 */
@CrashPoints()
export class InProcessServer extends Server {
  /** Whoever emits hears of a failure, so Nest need not tell it to the log. */
  override readonly propagatesEventHandlerErrors = true;

  /** All consumers of a pattern. Nest would chain them, and the first failure of a chain tears the others down. */
  private readonly consumers = new Map<string, MessageHandler[]>();
  private readonly running = new Set<Promise<unknown>>();
  private closed = false;
  private open!: () => void;
  private readonly opened = new Promise<void>((resolve) => (this.open = resolve));

  override addHandler(pattern: unknown, consumer: MessageHandler): void {
    const route = this.normalizePattern(pattern as string);
    this.consumers.set(route, [...(this.consumers.get(route) ?? []), consumer]);
    this.messageHandlers.set(route, consumer);
  }

  override listen(callback: () => void): void {
    this.open();
    callback();
  }

  /** Takes nothing new, and waits for what runs. */
  override async close(): Promise<void> {
    this.closed = true;
    this.open(); // whoever waits for the start hears that there is none
    await Promise.allSettled(this.running);
  }

  /**
   * Resolves when every consumer of the event is through.
   *
   * @throws EventFailedError when one of them has failed; the others are through, too
   */
  async deliver(pattern: string, data: unknown): Promise<void> {
    await this.untilOpen();
    if (this.closed) throw new Error('The app is closing: its consumers take no more messages.');
    const consumers = this.consumers.get(this.normalizePattern(pattern)) ?? [];
    if (consumers.length === 0) throw new Error(`The app has no consumer of ${pattern}.`);
    const json = JSON.stringify(data);
    const done = this.begin();
    const outcomes = await Promise.allSettled(
      consumers.map((consumer) => this.toOne(consumer, pattern, json)),
    );
    done();
    const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
    if (failures.length === 0) return;
    throw new EventFailedError(
      pattern,
      failures.map(({ reason }): unknown => reason),
    );
  }

  /** The relay of the outbox may be up before the consumers are. */
  private async untilOpen(): Promise<void> {
    await this.opened;
  }

  /** Something runs until what is answered is called. */
  private begin(): () => void {
    let end!: () => void;
    const run = new Promise<void>((resolve) => (end = resolve));
    this.running.add(run);
    return () => {
      this.running.delete(run);
      end();
    };
  }

  /** Each gets a copy of its own, made by way of JSON, as from a broker. */
  private async toOne(consumer: MessageHandler, pattern: string, json: string): Promise<void> {
    const answers = defer(() => consumer(JSON.parse(json), new InProcessContext([pattern]))).pipe(
      mergeMap((answer: unknown) => this.transformToObservable(answer)),
    );
    await lastValueFrom(answers, { defaultValue: undefined });
  }

  override on(): void {
    throw new Error('There is no connection inside a process that events could tell of.');
  }

  override unwrap<T>(): T {
    return this as unknown as T;
  }
}
