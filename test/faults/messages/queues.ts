import { connect, type Channel, type ConsumeMessage } from 'amqplib';

/** What does not get through ends in the second of them. */
export interface Queues {
  readonly queue: string;
  readonly deadLetters: string;
}

export function queuesNamed(queue: string): Queues {
  return { queue, deadLetters: `${queue}.dead` };
}

/** The same for all who declare the queue: RabbitMQ compares. */
export function queueOptions({ deadLetters }: Queues) {
  return { durable: true, deadLetterExchange: '', deadLetterRoutingKey: deadLetters };
}

/** Looks at queues, and may be asked again after the broker was away. */
export class QueueViewer {
  constructor(private readonly url: string) {}

  async declare(queues: Queues): Promise<void> {
    await this.with(async (channel) => {
      await channel.assertQueue(queues.deadLetters, { durable: true });
      await channel.assertQueue(queues.queue, queueOptions(queues));
    });
  }

  /** Messages that wait for a consumer; those that one has and did not acknowledge are not among them. */
  async waiting(queue: string): Promise<number> {
    return this.with(async (channel) => (await channel.checkQueue(queue)).messageCount);
  }

  /** Takes everything that waits, in its order. Nobody else may consume meanwhile. */
  async drain(queue: string): Promise<readonly string[]> {
    return this.with(async (channel) => {
      const taken: string[] = [];
      const { messageCount } = await channel.checkQueue(queue);
      if (messageCount === 0) return taken;
      await new Promise<void>((resolve, reject) => {
        const take = (message: ConsumeMessage | null) => {
          taken.push(String(message?.content));
          if (taken.length === messageCount) resolve();
        };
        channel.consume(queue, take, { noAck: true }).catch(reject);
      });
      return taken;
    });
  }

  private async with<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
    const connection = await connect(this.url);
    try {
      return await work(await connection.createChannel());
    } finally {
      await connection.close();
    }
  }
}
