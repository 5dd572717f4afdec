import type { Delivery } from './delivery.js';
import type { WatchedChannel } from './rabbitmq.js';

/** What the process knows of messages that are to be acknowledged. */
interface Watched {
  /** Channels on which RabbitMQ waits for acknowledgements. */
  readonly channels: WeakMap<object, WatchedChannel>;
  /** By message. */
  readonly deliveries: WeakMap<object, Delivery>;
  /** Decorated handlers, by the object that Nest keeps of their decorator (`extras`). */
  readonly own: WeakSet<object>;
  /** Nest's contexts of messages that nobody replies to, whatever they ask for. */
  readonly events: WeakSet<object>;
}

const SHARED = Symbol.for('nestjs-idempotent:deliveries');
const holder = globalThis as { [SHARED]?: Watched };

/** One per process, also when the package is loaded twice: Nest's servers are prepared by the first. */
export const watched: Watched = (holder[SHARED] ??= {
  channels: new WeakMap(),
  deliveries: new WeakMap(),
  own: new WeakSet(),
  events: new WeakSet(),
});
