import { afterEach, beforeAll, beforeEach } from '@jest/globals';
import type { INestApplicationContext, ModuleMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  CreateOutbox1795478400000,
  Outbox,
  OutboxModule,
  OutboxRelay,
  type NewOutboxMessage,
  type OutboxEvent,
  type OutboxMessage,
  type OutboxOptions,
  type PublishOutboxMessage,
} from 'nestjs-idempotent/typeorm';
import { randomUUID } from 'node:crypto';
import { DataSource, type DataSourceOptions } from 'typeorm';

interface Fixture {
  readonly server: { createDatabase(name: string): Promise<object> };
}

/** A database with the table of the outbox, emptied before each test. */
export function useOutboxDatabase(fixture: Fixture): { readonly dataSource: DataSource } {
  const database = {} as { dataSource: DataSource };
  beforeAll(async () => {
    const address = await fixture.server.createDatabase(`outbox_${randomUUID()}`);
    const options = { ...address, migrations: [CreateOutbox1795478400000], migrationsRun: true };
    database.dataSource = await new DataSource(options as object as DataSourceOptions).initialize();
  }, 30_000);
  beforeEach(() => database.dataSource.query('delete from outbox_messages'));
  afterEach(async () => {
    await Promise.all(running.splice(0).map((app) => app.close()));
  });
  return database;
}

/** An application of the outbox alone, and what it has published. */
export interface OutboxApp {
  readonly app: INestApplicationContext;
  readonly outbox: Outbox;
  readonly relay: OutboxRelay;
  readonly published: readonly OutboxMessage[];
  readonly events: readonly OutboxEvent[];
  /** In a transaction of its own. */
  add(...messages: NewOutboxMessage[]): Promise<string[]>;
  close(): Promise<void>;
}

const running: OutboxApp[] = [];

/** Closed after the test. `publish` runs after the message is noted as published. */
export async function startOutbox(
  dataSource: DataSource,
  {
    publish = () => undefined,
    ...options
  }: Omit<OutboxOptions, 'publish'> & { publish?: PublishOutboxMessage } = {},
  more: ModuleMetadata = {},
): Promise<OutboxApp> {
  const published: OutboxMessage[] = [];
  const events: OutboxEvent[] = [];
  const note: PublishOutboxMessage = (message, context) => {
    published.push(message);
    return publish(message, context);
  };
  const how = options.client === undefined ? { publish: note } : {};
  const outboxModule = OutboxModule.forRoot({ dataSource, ...how, ...options });
  const module = { ...more, imports: [...(more.imports ?? []), outboxModule] };
  const app = await Test.createTestingModule(module).compile();
  app.useLogger(false);
  app.get(OutboxRelay).events$.subscribe((event) => events.push(event));
  await app.init();
  const outbox = app.get(Outbox);
  const one: OutboxApp = {
    app,
    outbox,
    relay: app.get(OutboxRelay),
    published,
    events,
    add: (...messages) => dataSource.transaction((manager) => outbox.add(messages, { manager })),
    close: () => app.close(),
  };
  running.push(one);
  return one;
}

export const ids = (messages: readonly OutboxMessage[]): string[] => messages.map(({ id }) => id);

export const placed = (aggregate?: string, id: string = randomUUID()): NewOutboxMessage => ({
  pattern: 'orders.placed',
  payload: { id },
  aggregate,
  id,
});
