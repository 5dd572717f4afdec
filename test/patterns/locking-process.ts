/** A process that takes a lock on each of its storages, says so, and holds them until it is killed. */
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { IdempotencyModule, IdempotencyService } from 'nestjs-idempotent';
import { storageOf, type StorageAddress } from './support/lock-storages.js';

const { STORAGES = '', LOCK = '', LEASE = '', NAMESPACE = '' } = process.env;
setInterval(() => {}, 1000); // an application without a server keeps no process alive

async function hold(address: StorageAddress): Promise<void> {
  const storage = await storageOf(address);
  const imports = [IdempotencyModule.forRoot({ storage, namespace: NAMESPACE })];
  const app = await NestFactory.createApplicationContext({ module: class {}, imports }, { logger: false });
  const holding = new Promise<void>((held, failed) => {
    const work = () => (held(), new Promise<never>(() => {}));
    app.get(IdempotencyService).withLock(LOCK, { lease: LEASE }, work).catch(failed);
  });
  await holding;
}

await Promise.all((JSON.parse(STORAGES) as StorageAddress[]).map(hold));
console.log('holds its locks');
