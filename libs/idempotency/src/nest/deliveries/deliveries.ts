import { systemTimers } from '../system-ports.js';
import { Delivery, type Carrier, type Part } from './delivery.js';
import { carrierOfJetStream, isJetStreamMessage } from './jetstream.js';
import type { RabbitMessage } from './rabbitmq.js';
import { watched } from './watched.js';

/** What Nest's contexts of messages may have. */
interface MessageContext {
  getArgs?(): unknown;
  getMessage?(): unknown;
  getChannelRef?(): unknown;
}

interface Found {
  readonly message: object;
  carrier(): Carrier;
  added?(delivery: Delivery): void;
}

interface DeliveryTerms {
  /** How many decorated handlers it is for. */
  readonly expected: number;
  /** It is for several handlers, decorated or not. */
  readonly isShared?: boolean;
  readonly isEvent?: boolean;
}

/**
 * The part that an execution has in the delivery of its message; undefined when nobody acknowledges it.
 *
 * @param about Nest's context of the message
 */
export function openPart(about: unknown, execution: object): Part | undefined {
  const found = acknowledged(about);
  if (found === undefined) return undefined;
  // A server that does not extend Nest's: how many handlers it calls is not known.
  const delivery = watched.deliveries.get(found.message) ?? makeDelivery(found, { expected: 0 });
  return delivery.isSent ? undefined : delivery.open(execution);
}

/** That of the message in which a handler is called; undefined when it has none yet, or has been told. */
export function deliveryIn(about: unknown): Delivery | undefined {
  const found = acknowledged(about);
  return found && watched.deliveries.get(found.message);
}

/** Undefined when nobody acknowledges the message. */
export function newDelivery(about: unknown, terms: DeliveryTerms): Delivery | undefined {
  const found = acknowledged(about);
  return found && makeDelivery(found, terms);
}

function makeDelivery(found: Found, { expected, isShared, isEvent = false }: DeliveryTerms): Delivery {
  const carrier = found.carrier();
  // Not the timers of an application: none of several in this process has the message of another.
  const delivery = new Delivery(carrier, systemTimers, carrier.wantsReply && !isEvent, expected, isShared);
  watched.deliveries.set(found.message, delivery);
  found.added?.(delivery);
  return delivery;
}

function acknowledged(about: unknown): Found | undefined {
  if (typeof about !== 'object' || about === null) return undefined;
  const context = about as MessageContext;
  if (typeof context.getChannelRef === 'function') {
    const channel = watched.channels.get(context.getChannelRef() ?? {});
    const message = context.getMessage?.() as RabbitMessage | undefined;
    if (channel === undefined || message === undefined) return undefined;
    return {
      message,
      carrier: () => channel.carrierOf(message),
      added: (delivery) => channel.add(message, delivery),
    };
  }
  const args = context.getArgs?.();
  const message = Array.isArray(args) ? (args as unknown[]).find(isJetStreamMessage) : undefined;
  return message && { message, carrier: () => carrierOfJetStream(message) };
}
