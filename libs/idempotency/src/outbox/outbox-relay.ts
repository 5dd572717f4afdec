import { Inject, Injectable } from '@nestjs/common';
import { AsyncResource } from 'node:async_hooks';
import { Subject, type Observable } from 'rxjs';
import { InvalidOptionsError } from '../core/errors.js';
import { systemClock, systemRandomness, systemTimers } from '../nest/system-ports.js';
import type { RelayRound } from './batch.js';
import type { OutboxEvent, OutboxEventType } from './events.js';
import { RelayLog } from './log.js';
import { OutboxRuntime } from './outbox-runtime.js';
import { Relay, type RelayParts } from './relay.js';
import { OUTBOX_RUNTIME } from './tokens.js';

/** Longer than any process lives; it counts nothing. */
const KEEP_ALIVE_MS = 2 ** 31 - 1;

/**
 * Publishes what is in the outbox: at least once each, and the messages of one aggregate in their order. Any number of relays, in any
 * number of processes, share one table. It starts and stops with the application, unless `relay: false` is said.
 */
@Injectable()
export class OutboxRelay {
  private readonly events = new Subject<OutboxEvent>();
  private readonly counted = new Map<OutboxEventType, number>();
  private readonly log: RelayLog;
  /** Of the boot: who asks for the first round may be a request. */
  private readonly home = new AsyncResource('OutboxRelay');
  private relay: Relay | undefined;
  private keepAlive: NodeJS.Timeout | undefined;

  constructor(@Inject(OUTBOX_RUNTIME) private readonly runtime: OutboxRuntime) {
    this.log = new RelayLog(runtime.logger, systemClock);
  }

  /**
   * What this process's relay does, as it happens.
   *
   * A subscriber must be quick and must not throw: RxJS rethrows what it throws as an uncaught exception.
   */
  get events$(): Observable<OutboxEvent> {
    return this.events.asObservable();
  }

  /** How often each event has happened in this process. */
  counters(): ReadonlyMap<OutboxEventType, number> {
    return new Map(this.counted);
  }

  /** Relays until `stop()`, and keeps the process alive as long. Once started, it stays as it is. */
  start(): void {
    this.running().start();
    this.keepAlive ??= setInterval(() => {}, KEEP_ALIVE_MS);
  }

  /** Begins nothing any more, waits for what is being published, for `publishTimeout` at most, and gives back the rest. Never rejects. */
  async stop(): Promise<void> {
    clearInterval(this.keepAlive);
    this.keepAlive = undefined;
    await this.relay?.stop();
  }

  /** Has the relay look at once, for those who have added behind the outbox's back. Without a relay it does nothing. */
  wake(): void {
    this.relay?.wake();
  }

  /**
   * One batch: for jobs that relay at times of their own, and for tests. Also with `relay: false`, and beside a relay that runs. After
   * `stop()` it does nothing.
   *
   * @throws StorageUnavailableError (`storage-unavailable`) when nothing can be taken from the table; nothing has happened then
   * @throws InvalidOptionsError (`invalid-options`) without `client` and `publish`
   */
  async runOnce(): Promise<RelayRound> {
    return this.running().runOnce();
  }

  private running(): Relay {
    const { options, open } = this.runtime;
    const { publish, terms } = options;
    if (publish === undefined) {
      throw new InvalidOptionsError(
        'OutboxModule: with neither `client` nor `publish` this process cannot relay. Give one of them.',
      );
    }
    const parts: RelayParts = {
      table: open.table,
      publish,
      terms,
      clock: systemClock,
      timers: systemTimers,
      randomness: systemRandomness,
      onEvent: (event) => this.tell(event),
    };
    this.relay ??= this.home.runInAsyncScope(() => new Relay(parts));
    return this.relay;
  }

  private tell(event: OutboxEvent): void {
    this.counted.set(event.type, (this.counted.get(event.type) ?? 0) + 1);
    this.log.say(event);
    this.events.next(event);
  }
}
