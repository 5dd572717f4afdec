import { runningExecution } from '../running-execution.js';
import type { Carrier } from './delivery.js';
import { watched } from './watched.js';
import type { Verdict } from './verdict.js';

/** The part of a JetStream message that we use. */
export interface JetStreamMessage {
  ack(): void;
  nak(millis?: number): void;
  term(reason?: string): void;
  working(): void;
  ackAck?(): Promise<boolean>;
  readonly info?: { readonly deliveryCount?: unknown } | undefined;
}

/** By what it can do: its class is of an optional package, and strategies may hand on a copy of their own. */
export function isJetStreamMessage(value: unknown): value is JetStreamMessage {
  if (typeof value !== 'object' || value === null) return false;
  const members = value as Record<string, unknown>;
  return ['ack', 'nak', 'term', 'working'].every((name) => typeof members[name] === 'function');
}

/** From here on what handlers say of the message is held until the record knows of the outcome. */
export function carrierOfJetStream(message: JetStreamMessage): Carrier {
  const [ack, nak, term] = [message.ack, message.nak, message.term].map((method) => method.bind(message)) as [
    () => void,
    (millis?: number) => void,
    (reason?: string) => void,
  ];
  const hear = (word: Verdict, pauseMs?: number) =>
    watched.deliveries.get(message)?.hear(word, runningExecution.getStore()?.context, pauseMs);
  message.ack = () => hear('done');
  message.nak = (millis) => hear('again', millis);
  message.term = () => hear('refused');
  // Whoever awaits it in a handler must not wait for the end of that.
  if (message.ackAck !== undefined) message.ackAck = async () => (hear('done'), true);
  const tell = (say: () => void) => {
    try {
      say();
    } catch {
      // The connection is closed: the server delivers the message again after its `ack_wait`.
    }
  };
  return {
    wantsReply: false,
    keepsPause: true,
    deliveries: deliveriesOf(message),
    done: () => tell(ack),
    // Without a reason: servers before 2.10 take one with a reason for none at all.
    refused: () => tell(() => term()),
    again: (pauseMs) => tell(() => nak(Math.ceil(pauseMs))),
  };
}

function deliveriesOf({ info }: JetStreamMessage): number | undefined {
  const count = info?.deliveryCount;
  return typeof count === 'number' && count > 0 ? count : undefined;
}
