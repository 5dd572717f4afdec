import type { DataSource } from 'typeorm';
import type { Duration } from '../core/duration.js';
import type { OutboxMessage } from '../typeorm/outbox/message.js';
import type { OutboxClient, PublishOutboxMessage } from './publish.js';

/** How the relay of this process works. */
export interface OutboxRelayOptions {
  /**
   * How often the table is looked at for what other processes have added, and for what they have left. Messages of this process
   * wake the relay when they are committed, and a message that is to be tried again is known by its time.
   *
   * @default '1s'
   */
  readonly pollEvery?: Duration | undefined;
  /** How many messages are taken at a time, at most. @default 100 */
  readonly batchSize?: number | undefined;
  /** How many are published side by side; of one aggregate never more than one. @default 10 */
  readonly concurrency?: number | undefined;
  /** How long taken messages are this relay's, a day at most; those of a relay that dies wait as long. @default '30s' */
  readonly lease?: Duration | undefined;
  /** How long one try to publish may take. Shorter than `lease`. @default '10s' */
  readonly publishTimeout?: Duration | undefined;
}

/** When a message that could not be published is tried again. */
export interface OutboxRetryOptions {
  /** How many tries a message has before it is a dead letter. @default 300 */
  readonly attempts?: number | undefined;
  /** Before the second try; doubled from try to try, and each pause is half of it to all of it. @default '1s' */
  readonly delay?: Duration | undefined;
  /** The longest pause. With 300 tries, 12 to 24 hours of a broker that is away. @default '5m' */
  readonly maxDelay?: Duration | undefined;
}

/** Options of `OutboxModule.forRoot()`: `client` or `publish`, and whatever is to differ from the defaults. */
export interface OutboxOptions {
  /** Whose database holds the messages: the one that your handlers write in. @default the application's only DataSource */
  readonly dataSource?: DataSource | undefined;
  /** Name of the table, with or without a schema. @default 'outbox_messages' */
  readonly table?: string | undefined;
  /** Publishes by `client.emit(pattern, packet)`. A client that is handed in is never closed. */
  readonly client?: OutboxClient | undefined;
  /** Publishes by a function, instead of `client`. */
  readonly publish?: PublishOutboxMessage | undefined;
  /** What goes into `client.emit()`. @default { id, correlationId, data: payload } */
  readonly toPacket?: ((message: OutboxMessage) => unknown) | undefined;
  /** The relay of this process; `false` for processes that only add. @default {} */
  readonly relay?: OutboxRelayOptions | false | undefined;
  readonly retry?: OutboxRetryOptions | undefined;
  /** How long delivered messages stay in the table, for those who want to look. @default '7d' */
  readonly keepDelivered?: Duration | undefined;
  /** How often a process with a relay removes them; `false` leaves it to `outbox.purge()`. @default '10m' */
  readonly purgeEvery?: Duration | false | undefined;
}
