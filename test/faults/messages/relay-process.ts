/** One process with a relay that publishes through Nest's ClientRMQ, from the environment. It writes a line per try. */
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { ClientRMQ } from '@nestjs/microservices';
import { OutboxModule } from 'nestjs-idempotent/typeorm';
import type { Observable } from 'rxjs';
import { DataSource } from 'typeorm';
import { passing, say } from './held-points.js';
import { queueOptions, queuesNamed } from './queues.js';

const { DATABASE_URL = '', AMQP_URL = '', QUEUE = '', LEASE = '', PUBLISH_TIMEOUT = '' } = process.env;

/** Nest's own client, which tells what becomes of each event. */
class WatchedClient extends ClientRMQ {
  override emit<Result, Input>(pattern: unknown, data: Input): Observable<Result> {
    const sent = super.emit<Result, Input>(pattern, data);
    sent.subscribe({ error: () => say('not published') });
    return sent;
  }

  protected override async dispatchEvent(packet: never): Promise<never> {
    await passing('about to publish');
    const answer = await super.dispatchEvent(packet);
    await passing('confirmed');
    say('published');
    return answer as never;
  }
}

const dataSource = await new DataSource({ type: 'postgres', url: DATABASE_URL, poolSize: 10 }).initialize();
const queues = queuesNamed(QUEUE);
const client = new WatchedClient({
  urls: [AMQP_URL],
  queue: queues.queue,
  queueOptions: queueOptions(queues),
  persistent: true,
  socketOptions: { reconnectTimeInSeconds: 1 },
});
const outbox = OutboxModule.forRoot({
  dataSource,
  client,
  relay: { pollEvery: '100ms', lease: LEASE, publishTimeout: PUBLISH_TIMEOUT },
  retry: { delay: '200ms', maxDelay: '1s' },
});
const app = await NestFactory.createApplicationContext(
  { module: class {}, imports: [outbox] },
  { logger: ['warn', 'error'], abortOnError: false },
);
say('ready');

process.once('SIGTERM', () => {
  void app
    .close()
    .then(() => client.close())
    .then(() => dataSource.destroy())
    .then(() => process.exit(0));
});
