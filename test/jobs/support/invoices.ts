/** Two outside services, as far as a job can tell: what they were asked to do stands in a list in Redis, seen by every process. */
import type { Redis } from 'ioredis';

export interface Invoice {
  readonly orderId: string;
  readonly total: number;
}

export abstract class Billing {
  abstract book(invoice: Invoice, key: string): Promise<string>;
  abstract send(number: string, key: string): Promise<void>;
}

export class RedisBilling extends Billing {
  /** Called before something is sent: for tests that stop it there. */
  beforeSending: () => Promise<void> | void = () => {};

  constructor(private readonly redis: Redis) {
    super();
  }

  async book({ orderId }: Invoice): Promise<string> {
    await this.redis.rpush('effects', `booked ${orderId}`);
    return `invoice of ${orderId}`;
  }

  async send(number: string): Promise<void> {
    await this.beforeSending();
    await this.redis.rpush('effects', `sent ${number}`);
  }
}
