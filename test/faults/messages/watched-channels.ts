import type { Channel, ConsumeMessage } from 'amqplib';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { isHeldAt, say } from './held-points.js';

/** What amqplib makes channels from; each delivery goes through the method that it does not document. */
interface ChannelPrototype extends Channel {
  dispatchMessage(fields: unknown, message: ConsumeMessage | null): unknown;
}

/**
 * Says of every channel of this process what comes in and what goes out, below whoever else holds acknowledgements back;
 * `acknowledged` is the point at which one was about to be sent.
 */
export function watchChannels(): void {
  const require = createRequire(import.meta.url);
  const file = join(dirname(require.resolve('amqplib')), 'lib', 'channel_model.js');
  const { prototype } = (require(file) as { Channel: { prototype: ChannelPrototype } }).Channel;
  const { ack, nack, dispatchMessage } = prototype;
  prototype.dispatchMessage = function (fields, message) {
    if (message !== null) say(message.fields.redelivered ? 'redelivered' : 'delivered');
    return dispatchMessage.call(this, fields, message);
  };
  prototype.ack = function (message, allUpTo) {
    if (isHeldAt('acknowledged')) return;
    ack.call(this, message, allUpTo);
    say('acked');
  };
  prototype.nack = function (message, allUpTo, requeue) {
    nack.call(this, message, allUpTo, requeue);
    say(requeue === false ? 'refused' : 'requeued');
  };
}
