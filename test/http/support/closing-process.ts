/** A process whose client leaves while a handler runs for good, and that then closes its application. */
import 'reflect-metadata';
import { Controller, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Idempotent, IdempotencyModule, memoryStorage } from 'nestjs-idempotent';

let begun: () => void = () => {};
const running = new Promise<void>((resolve) => (begun = resolve));

@Controller('orders')
class Orders {
  @Post()
  @Idempotent()
  create(): Promise<never> {
    begun();
    return new Promise(() => {});
  }
}

const root = {
  module: class {},
  imports: [IdempotencyModule.forRoot({ storage: memoryStorage() })],
  controllers: [Orders],
};
const app = await NestFactory.create(root, { logger: false });
await app.listen(0, '127.0.0.1');
const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
const client = request({
  port,
  host: '127.0.0.1',
  path: '/orders',
  method: 'POST',
  headers: { 'idempotency-key': 'k' },
});
client.on('error', () => {});
client.end();
await running;
client.destroy();
await app.close();
console.log('closed');
