import { describe, expect, it } from '@jest/globals';
import { ConsoleLogger, Controller, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxyFactory, EventPattern, Payload, Transport } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Idempotent, IdempotencyModule, memoryStorage, messageKey } from 'nestjs-idempotent';
import { Outbox, OutboxModule, OutboxRelay, type OutboxOptions } from 'nestjs-idempotent/typeorm';
import { DataSource } from 'typeorm';
import { freePort } from '../support/free-port.js';
import { eventually, usePostgres } from '../support/postgres-fixture.js';
import { ids, placed, startOutbox, useOutboxDatabase } from './support/outbox-app.js';

const postgres = usePostgres();

describe('the outbox module', () => {
  const database = useOutboxDatabase(postgres);
  const publish = () => undefined;

  it('sends what is added by hand in a transaction, long before the next poll, and nothing of one that is rolled back', async () => {
    const { dataSource } = database;
    const app = await startOutbox(dataSource, { relay: { pollEvery: '1h' } });
    const { outbox, published } = app;
    const failed = dataSource.transaction(async (manager) => {
      await outbox.add(placed(undefined, 'undone'), { manager });
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    await dataSource.transaction((manager) => outbox.add(placed(undefined, 'by manager'), { manager }));
    const runner = dataSource.createQueryRunner();
    await runner.startTransaction();
    await outbox.add(placed(undefined, 'by runner'), { manager: runner });
    await runner.commitTransaction();
    await runner.release();
    await eventually(() => expect(ids(published)).toEqual(['by manager', 'by runner']), 2000);
  });

  it('refuses a manager without a transaction, and messages that could not be sent', async () => {
    const { dataSource } = database;
    const { outbox, add } = await startOutbox(dataSource);
    await expect(outbox.add(placed(), { manager: dataSource.manager })).rejects.toMatchObject({
      code: 'no-transaction',
    });
    await expect(outbox.add(placed())).rejects.toMatchObject({ code: 'no-transaction' });
    await expect(add(placed(), { ...placed(), payload: new Date() })).rejects.toMatchObject({
      code: 'invalid-options',
    });
    expect(await add()).toEqual([]);
    expect(await outbox.counts()).toMatchObject({ waiting: 0 });
  });

  it('finds the DataSource of the application, and takes options from a factory', async () => {
    const { options } = database.dataSource;
    const sent: string[] = [];
    @Injectable()
    class Broker {
      readonly publish = ({ id }: { id: string }) => sent.push(id);
    }
    @Module({ providers: [Broker], exports: [Broker] })
    class BrokerModule {}
    const app = await Test.createTestingModule({
      imports: [
        TypeOrmModule.forRoot({ ...options, migrationsRun: false }),
        OutboxModule.forRootAsync({
          imports: [BrokerModule],
          inject: [Broker],
          useFactory: ({ publish }: Broker) => ({ publish, purgeEvery: false as const }),
        }),
      ],
    }).compile();
    await app.init();
    const [outbox, dataSource] = [app.get(Outbox), app.get(DataSource)];
    await dataSource.transaction((manager) => outbox.add(placed(undefined, 'm1'), { manager }));
    await eventually(() => expect(sent).toEqual(['m1']));
    await app.close();
  });

  it('only adds with `relay: false`; a process of relays alone sends it', async () => {
    const { dataSource } = database;
    const adding = await startOutbox(dataSource, { relay: false, publish });
    await adding.add(placed(undefined, 'm1'));

    const sent: string[] = [];
    @Module({
      imports: [OutboxModule.forRoot({ dataSource, publish: ({ id }) => sent.push(id) })],
    })
    class Relays {}
    const app = await NestFactory.createApplicationContext(Relays, { logger: false });
    await eventually(() => expect(sent).toEqual(['m1']));
    await app.close();
    expect(adding.published).toEqual([]);
    await adding.add(placed(undefined, 'm2'));
    // It was stopped with its application.
    expect(await app.get(OutboxRelay).runOnce()).toMatchObject({ claimed: 0 });
    expect(await adding.relay.runOnce()).toEqual({ claimed: 1, delivered: 1, failed: 0, dead: 0 });
    expect(ids(adding.published)).toEqual(['m2']);
  });

  it('publishes by a ClientProxy, whose consumers do each message once however often it comes', async () => {
    const done: unknown[] = [];
    let failures = 1;
    @Controller()
    class Consumer {
      @EventPattern('orders.placed')
      @Idempotent({ key: messageKey('id') })
      place(@Payload() message: unknown) {
        done.push(message);
      }
    }
    const options = { host: '127.0.0.1', port: await freePort() };
    const consumer = await Test.createTestingModule({
      imports: [IdempotencyModule.forRoot({ storage: memoryStorage() })],
      controllers: [Consumer],
    }).compile();
    const server = consumer.createNestMicroservice({ transport: Transport.TCP, options, logger: false });
    await server.listen();
    const client = ClientProxyFactory.create({ transport: Transport.TCP, options });
    const twice = {
      emit(pattern: string, packet: unknown) {
        const sent = client.emit(pattern, packet);
        if ((failures -= 1) < 0) return sent;
        // It has arrived, and nobody hears of it.
        sent.subscribe();
        throw new Error('connection reset');
      },
    };
    const app = await startOutbox(database.dataSource, { client: twice, retry: { delay: '10ms' } });
    const [id] = await app.add({ pattern: 'orders.placed', payload: { order: 1 }, correlationId: 'c1' });
    await eventually(async () => expect(app.relay.counters().get('delivered')).toBe(1));
    await app.close();
    client.close();
    await server.close();
    expect(app.relay.counters().get('failed')).toBe(1);
    expect(done).toEqual([{ id, correlationId: 'c1', data: { order: 1 } }]);
  });

  it('removes what was delivered long enough ago, and says loudly at its start what was given up', async () => {
    const { dataSource } = database;
    const first = await startOutbox(dataSource, {
      keepDelivered: '1ms',
      retry: { attempts: 1 },
      publish: ({ aggregate }) => {
        if (aggregate === 'a') throw new Error('never');
      },
    });
    await first.add(placed('a', 'dead'), placed('a', 'behind'), placed('b'), placed());
    await eventually(async () => expect(await first.outbox.counts()).toMatchObject({ dead: 1, waiting: 1 }));
    await eventually(async () => expect(await first.outbox.purge()).toBe(2));
    expect(await dataSource.query('select id from outbox_messages')).toHaveLength(2);

    const lines: string[] = [];
    const record = (line: unknown) => void lines.push(String(line));
    const app = await Test.createTestingModule({ imports: [OutboxModule.forRoot({ dataSource, publish })] })
      .setLogger(Object.assign(new ConsoleLogger(), { error: record, log: () => undefined }))
      .compile();
    await app.init();
    await app.close();
    expect(lines).toEqual([expect.stringContaining('1 message(s) were given up')]);
    expect(lines[0]).toContain('1 more wait behind them');
  });

  it.each<[string, () => Partial<OutboxOptions>[]]>([
    ['neither `client` nor `publish` is given', () => [{}]],
    ['is imported more than once', () => [{ publish }, { publish, relay: false }]],
    ['`table`', () => [{ publish, table: 'not_there' }]],
    [
      'the DataSource is not initialized',
      () => [{ publish, dataSource: new DataSource(database.dataSource.options) }],
    ],
    ['there is no DataSource', () => [{ publish, dataSource: undefined }]],
  ])('refuses at boot what cannot be meant: %s', async (sentence, modules) => {
    const imports = modules().map((options) =>
      OutboxModule.forRoot({ dataSource: database.dataSource, ...options }),
    );
    const boot = async () => (await Test.createTestingModule({ imports }).compile()).init();
    const error: unknown = await boot().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'invalid-options' });
    expect(String(error)).toMatch(sentence === '`table`' ? /table.*not_there/ : sentence);
  });

  it('refuses to be imported bare', async () => {
    const boot = Test.createTestingModule({ imports: [OutboxModule] }).compile();
    await expect(boot).rejects.toThrow('OutboxModule has no options');
  });

  it('relays nothing where nobody publishes', async () => {
    const { dataSource } = database;
    const app = await Test.createTestingModule({
      imports: [OutboxModule.forRoot({ dataSource, relay: false })],
    }).compile();
    await app.init();
    const relay = app.get(OutboxRelay);
    await expect(relay.runOnce()).rejects.toMatchObject({ code: 'invalid-options' });
    expect(() => relay.start()).toThrow('cannot relay');
    await app.close();
  });
});
