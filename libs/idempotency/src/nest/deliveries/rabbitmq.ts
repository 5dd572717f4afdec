import { runningExecution } from '../running-execution.js';
import type { Carrier, Delivery } from './delivery.js';
import { watched } from './watched.js';
import type { Verdict } from './verdict.js';

/** The part of a RabbitMQ message that we use. */
export interface RabbitMessage {
  readonly fields: { readonly deliveryTag: number };
  readonly properties?:
    | { readonly replyTo?: unknown; readonly headers?: Readonly<Record<string, unknown>> | undefined }
    | undefined;
}

/** The part of a channel of `amqplib` that settles messages. */
export interface RabbitChannel {
  ack(message: RabbitMessage, allUpTo?: boolean): void;
  nack(message: RabbitMessage, allUpTo?: boolean, requeue?: boolean): void;
  reject(message: RabbitMessage, requeue?: boolean): void;
  ackAll(): void;
  nackAll(requeue?: boolean): void;
  once(event: 'close', listener: () => void): unknown;
}

/**
 * A channel whose consumer acknowledges. What handlers say on it of messages of ours is held until the record knows of the
 * outcome, and said once: a second acknowledgement would make the broker close the channel.
 */
export class WatchedChannel {
  private readonly open = new Map<number, Delivery>();
  private readonly raw: Omit<RabbitChannel, 'once'>;

  constructor(channel: RabbitChannel) {
    const raw = {
      ack: channel.ack.bind(channel),
      nack: channel.nack.bind(channel),
      reject: channel.reject.bind(channel),
      ackAll: channel.ackAll.bind(channel),
      nackAll: channel.nackAll.bind(channel),
    };
    this.raw = raw;
    channel.ack = (message, allUpTo) => {
      if (!this.heard(message, allUpTo, 'done')) raw.ack(message, allUpTo);
    };
    channel.nack = (message, allUpTo, requeue = true) => {
      if (!this.heard(message, allUpTo, wordOf(requeue))) raw.nack(message, allUpTo, requeue);
    };
    channel.reject = (message, requeue = true) => {
      if (!this.heard(message, false, wordOf(requeue))) raw.reject(message, requeue);
    };
    channel.ackAll = () => {
      this.forget(Infinity);
      raw.ackAll();
    };
    channel.nackAll = (requeue) => {
      this.forget(Infinity);
      raw.nackAll(requeue);
    };
    // The broker has taken back what was open.
    channel.once('close', () => this.forget(Infinity));
  }

  add(message: RabbitMessage, delivery: Delivery): void {
    this.open.set(message.fields.deliveryTag, delivery);
  }

  carrierOf(message: RabbitMessage): Carrier {
    const tell = (say: () => void) => {
      this.open.delete(message.fields.deliveryTag);
      try {
        say();
      } catch {
        // The channel is closed: the broker has taken the message back and delivers it again.
      }
    };
    return {
      wantsReply: message.properties?.replyTo !== undefined,
      keepsPause: false,
      deliveries: deliveriesOf(message),
      done: () => tell(() => this.raw.ack(message)),
      refused: () => tell(() => this.raw.nack(message, false, false)),
      again: () => tell(() => this.raw.nack(message, false, true)),
    };
  }

  /** `true`: it is a message of ours, which has been told or will be. */
  private heard(message: RabbitMessage, allUpTo: boolean | undefined, word: Verdict): boolean {
    if (allUpTo === true) {
      // It is about messages that are not ours too.
      this.forget(message.fields.deliveryTag);
      return false;
    }
    // By its tag where it is a copy.
    const delivery = watched.deliveries.get(message) ?? this.open.get(message.fields.deliveryTag);
    delivery?.hear(word, runningExecution.getStore()?.context);
    return delivery !== undefined;
  }

  private forget(upTo: number): void {
    for (const [tag, delivery] of this.open) {
      if (tag > upTo) continue;
      delivery.settledElsewhere();
      this.open.delete(tag);
    }
  }
}

/** Quorum queues count those before this one. */
function deliveriesOf({ properties }: RabbitMessage): number | undefined {
  const before = properties?.headers?.['x-delivery-count'];
  return typeof before === 'number' ? before + 1 : undefined;
}

function wordOf(requeue: boolean): Verdict {
  return requeue ? 'again' : 'refused';
}
