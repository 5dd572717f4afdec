import { afterEach, describe, expect, it } from '@jest/globals';
import { Catch, Controller, UseFilters, type RpcExceptionFilter } from '@nestjs/common';
import {
  Ctx,
  EventPattern,
  KafkaContext,
  KafkaRetriableException,
  MessagePattern,
  Payload,
  RpcException,
  ServerKafka,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import {
  headerKey,
  Idempotent,
  IdempotencyModule,
  IdempotencyService,
  memoryStorage,
} from 'nestjs-idempotent';
import { faultyStorage, Gate } from 'nestjs-idempotent/testing';
import { of } from 'rxjs';
import { eventually } from '../http/support/eventually.js';

/** Nest's server for Kafka without a broker: what a broker would bring goes into its `handleMessage`. */
class KafkaWithoutBroker extends ServerKafka {
  readonly replies: unknown[] = [];

  override async listen(callback: () => void): Promise<void> {
    const send = async (record: { messages: { value: unknown; headers: Record<string, Buffer> }[] }) => {
      const [message] = record.messages;
      const error = message?.headers['kafka_nest-err'];
      this.replies.push(error === undefined ? message?.value : { error: JSON.parse(error.toString()) });
    };
    this.producer = { send } as never;
    callback();
  }

  override async close(): Promise<void> {}
}

const RETRY_ME = expect.any(KafkaRetriableException);
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

@Catch(RpcException)
class GoOn implements RpcExceptionFilter {
  catch() {
    return of(undefined);
  }
}

/** @param filters around the event */
async function start(handle: (data: { sku: string }) => unknown, ...filters: RpcExceptionFilter[]) {
  const given = { key: headerKey('Idempotency-Key'), waitTimeout: '50ms', storageTimeout: '100ms' } as const;
  const contexts: KafkaContext[] = [];

  @Controller()
  class Consumer {
    @Idempotent(given)
    @UseFilters(...filters)
    @EventPattern<string>('orders.placed')
    placed(@Payload() data: { sku: string }, @Ctx() context: KafkaContext): unknown {
      contexts.push(context);
      return handle(data);
    }

    @Idempotent(given)
    @MessagePattern<string>('orders.check')
    check(@Payload() data: { sku: string }): unknown {
      return handle(data);
    }
  }
  const storage = faultyStorage(memoryStorage());
  const imports = [IdempotencyModule.forRoot({ namespace: 'shop', storage })];
  const testing = await Test.createTestingModule({ imports, controllers: [Consumer] }).compile();
  const strategy = new KafkaWithoutBroker({ client: { brokers: [] } });
  const app = testing.createNestMicroservice<MicroserviceOptions>({ strategy, logger: false });
  await app.listen();
  closers.push(() => app.close());
  const service = app.get(IdempotencyService);

  const deliver = (topic: string, headers: Record<string, string>, sku = 'A') => {
    const value = Buffer.from(JSON.stringify({ sku }));
    const sent = Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]));
    const message = { key: null, value, headers: sent, timestamp: '0', attributes: 0, offset: '0' };
    return strategy.handleMessage({
      topic,
      partition: 0,
      message,
      heartbeat: async () => undefined,
      pause: () => () => undefined,
    });
  };
  return {
    contexts,
    storage,
    replies: strategy.replies,
    count: (type: Parameters<ReturnType<typeof service.counters>['get']>[0]) =>
      service.counters().get(type) ?? 0,
    placed: (headers: Record<string, string>, sku?: string) => deliver('orders.placed', headers, sku),
    check: (headers: Record<string, string>) =>
      deliver('orders.check', { ...headers, kafka_correlationId: 'n1', kafka_replyTopic: 'replies' }),
  };
}

describe("messages in Nest's contexts of Kafka", () => {
  it.each(['Idempotency-Key', 'IDEMPOTENCY-KEY', 'idempotency-key'])(
    'run once per key in a header %s, which comes as bytes, and their offsets are committed',
    async (name) => {
      let runs = 0;
      const kafka = await start(() => (runs += 1));
      await kafka.placed({ [name]: 'k1' });
      await kafka.placed({ [name]: 'k1' });
      expect([runs, kafka.count('replayed')]).toEqual([1, 1]);
      expect(kafka.contexts[0]).toBeInstanceOf(KafkaContext);
    },
  );

  it('are tried again by kafkajs while another copy runs', async () => {
    const gate = new Gate();
    const kafka = await start(() => gate.pass());
    const first = kafka.placed({ 'Idempotency-Key': 'k1' });
    await gate.reached();

    await expect(kafka.placed({ 'Idempotency-Key': 'k1' })).rejects.toEqual(RETRY_ME);
    gate.open();
    await first;
    await kafka.placed({ 'Idempotency-Key': 'k1' });
    expect(kafka.count('replayed')).toBe(1);
  });

  it('are tried again by kafkajs when the storage does not answer, and no reply is sent', async () => {
    const kafka = await start(() => 'there');
    const headers = { 'Idempotency-Key': 'k1' };
    kafka.storage.rejectNext('claim', 1000);
    for (const ask of [kafka.placed, kafka.check]) await expect(ask(headers)).rejects.toEqual(RETRY_ME);
    kafka.storage.heal();
    expect(kafka.replies).toEqual([]);
    await kafka.check({ 'Idempotency-Key': 'k2' });
    await eventually(() => expect(kafka.replies[0]).toBe('there'));
  });

  it('that ask for a reply get what is final as one, and their offsets are committed', async () => {
    const kafka = await start(() => {
      throw new RpcException('sold out');
    });
    await kafka.check({});
    await kafka.check({ 'Idempotency-Key': 'k1' });
    await eventually(() =>
      expect(kafka.replies).toEqual([
        { error: expect.objectContaining({ code: 'key-missing' }) },
        { error: { status: 'error', message: 'sold out' } },
      ]),
    );
  });

  it('are tried again whatever a handler of an event throws, as Nest has it', async () => {
    const kafka = await start(() => {
      throw new RpcException('sold out');
    });
    await expect(kafka.placed({ 'Idempotency-Key': 'k1' })).rejects.toBeDefined();
    await expect(kafka.placed({ 'Idempotency-Key': 'k1' })).rejects.toBeDefined();
    await expect(kafka.placed({})).rejects.toMatchObject({ code: 'key-missing' });
    expect(kafka.count('claimed')).toBe(1);
  });

  it('are gone on from when an exception filter answers what is final, and not while another copy runs', async () => {
    const gate = new Gate();
    const kafka = await start(async ({ sku }) => {
      if (sku === 'none') throw new RpcException('sold out');
      await gate.pass();
    }, new GoOn());
    await kafka.placed({ 'Idempotency-Key': 'k1' }, 'none');
    expect(kafka.count('completed')).toBe(1);
    expect(kafka.count('claimed')).toBe(1);
  });
});
