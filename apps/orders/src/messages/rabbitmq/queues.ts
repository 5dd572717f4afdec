export const QUEUE = 'orders';
/** Messages that a consumer has refused for good; nobody reads them but people. */
export const REFUSED = 'orders.refused';

/** Both ends declare the queue, and RabbitMQ insists that they say the same of it. */
export const COMMON = {
  queue: QUEUE,
  queueOptions: {
    durable: true,
    arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': REFUSED },
  },
  socketOptions: { reconnectTimeInSeconds: 1 },
};
