import { afterAll, afterEach, beforeAll } from '@jest/globals';
import type { ModuleMetadata } from '@nestjs/common';
import { Transport, type MicroserviceOptions, type RmqOptions } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { connect, type ChannelModel, type ConfirmChannel, type GetMessage, type Options } from 'amqplib';
import {
  IdempotencyModule,
  IdempotencyService,
  type IdempotencyEventType,
  type IdempotencyModuleOptions,
} from 'nestjs-idempotent';
import { startRabbit, type RabbitServer } from '../../support/rabbitmq-server.js';

export interface TestQueue {
  readonly name: string;
  /** Where what is refused goes. */
  readonly deadLetters: string;
}

export interface RabbitApp {
  readonly service: IdempotencyService;
  count(type: IdempotencyEventType): number;
  /** Whatever it has not acknowledged is in its queue afterwards. */
  close(): Promise<void>;
}

export interface RabbitAppOptions extends ModuleMetadata {
  readonly options?: IdempotencyModuleOptions;
  readonly rmq?: RmqOptions['options'];
}

/** For a whole spec file: a RabbitMQ, and a connection of the test's own to look behind it. */
export class RabbitFixture {
  server!: RabbitServer;
  channel!: ConfirmChannel;
  private connection!: ChannelModel;
  private queues = 0;
  private readonly closers: (() => unknown)[] = [];

  constructor() {
    beforeAll(async () => {
      this.server = await startRabbit();
      await this.reconnect();
    }, 100_000);
    afterEach(async () => {
      for (const close of this.closers.splice(0).reverse()) await close();
    });
    afterAll(async () => {
      await this.connection.close();
      await this.server.stop();
    });
  }

  async reconnect(): Promise<void> {
    this.connection = await connect(this.server.url);
    this.connection.on('error', () => {});
    this.channel = await this.connection.createConfirmChannel();
    this.channel.on('error', () => {});
  }

  /** A queue of its own, and one for what it refuses. */
  async newQueue(): Promise<TestQueue> {
    this.queues += 1;
    const queue = { name: `orders-${this.queues}`, deadLetters: `orders-${this.queues}-dead` };
    await this.channel.assertQueue(queue.name, queueOptions(queue));
    await this.channel.assertQueue(queue.deadLetters, { durable: false });
    return queue;
  }

  /** As a publisher that is no Nest application sends it; resolves when the broker has it. */
  async publish(
    { name }: Pick<TestQueue, 'name'>,
    pattern: unknown,
    data: unknown,
    options: Options.Publish = {},
  ): Promise<void> {
    this.channel.sendToQueue(name, Buffer.from(JSON.stringify({ pattern, data })), options);
    await this.channel.waitForConfirms();
  }

  /** How many messages wait in it, without those that a consumer has and has not acknowledged. */
  async waiting(queue: string): Promise<number> {
    return (await this.channel.checkQueue(queue)).messageCount;
  }

  async take(queue: string): Promise<GetMessage | false> {
    return this.channel.get(queue, { noAck: true });
  }

  /** Message handlers on this queue that acknowledge, closed after the test. */
  async start(
    queue: TestQueue,
    { options, rmq, imports = [], ...module }: RabbitAppOptions,
  ): Promise<RabbitApp> {
    const testing = await Test.createTestingModule({
      ...module,
      imports: [
        ...imports,
        IdempotencyModule.forRoot({ namespace: 'shop', storageTimeout: '300ms', ...options }),
      ],
    }).compile();
    const app = testing.createNestMicroservice<MicroserviceOptions>({
      transport: Transport.RMQ,
      options: {
        urls: [this.server.url],
        queue: queue.name,
        queueOptions: queueOptions(queue),
        noAck: false,
        socketOptions: { reconnectTimeInSeconds: 1 },
        ...rmq,
      },
      logger: false,
    });
    await app.listen();
    let closed: Promise<void> | undefined;
    const close = () => (closed ??= app.close());
    this.closers.push(close);
    const service = app.get(IdempotencyService);
    return { service, close, count: (type) => service.counters().get(type) ?? 0 };
  }

  /** After the test, the last first. */
  later(close: () => unknown): void {
    this.closers.push(close);
  }
}

export function queueOptions({ deadLetters }: Pick<TestQueue, 'deadLetters'>): object {
  return {
    durable: false,
    arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': deadLetters },
  };
}
