import { Controller, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  ClientProxyFactory,
  MessagePattern,
  Transport,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { describe, expect, it } from '@jest/globals';
import { firstValueFrom } from 'rxjs';
import { Idempotent, IdempotencyModule, IdempotencyService } from 'nestjs-idempotent';
import { freePort } from '../support/free-port.js';
import { expectReplayOf, send } from './support/requests.js';

@Controller('orders')
class Orders {
  @MessagePattern('count')
  count() {
    return 1;
  }
  @Post()
  @Idempotent()
  create() {
    return 'created';
  }
}

@Module({ imports: [IdempotencyModule.forRoot({})], controllers: [Orders] })
class App {}

const tcp = async () =>
  ({ transport: Transport.TCP, options: { host: '127.0.0.1', port: await freePort() } }) as const;

async function ask(server: Awaited<ReturnType<typeof tcp>>): Promise<unknown> {
  const client = ClientProxyFactory.create(server);
  try {
    return await firstValueFrom(client.send('count', {}));
  } finally {
    await client.close();
  }
}

describe('IdempotencyModule', () => {
  it('works in an application without any server', async () => {
    const app = await NestFactory.createApplicationContext(App, { logger: false });

    const { value } = await app.get(IdempotencyService).run({ operation: 'import', key: 'k' }, () => 'done');

    expect(value).toBe('done');
    await app.close();
  });

  it('works in an application of messages alone, and leaves undecorated handlers alone', async () => {
    const server = await tcp();
    const app = await NestFactory.createMicroservice<MicroserviceOptions>(App, { ...server, logger: false });
    await app.listen();

    expect(await ask(server)).toBe(1);
    expect((await app.get(IdempotencyService).run({ operation: 'a', key: 'k' }, () => 7)).value).toBe(7);
    await app.close();
  });

  it.each([true, false])(
    'works in an application of routes and messages, inheritAppConfig: %s',
    async (inheritAppConfig) => {
      const server = await tcp();
      const app = await NestFactory.create(App, { logger: false });
      app.connectMicroservice<MicroserviceOptions>(server, { inheritAppConfig });
      await app.startAllMicroservices();
      const port = await freePort();
      await app.listen(port, '127.0.0.1');
      const http = { url: `http://127.0.0.1:${port}` };

      expect(await ask(server)).toBe(1);
      expectReplayOf(await send(http, '/orders', { key: 'k' }), await send(http, '/orders', { key: 'k' }));
      await app.close();
    },
  );
});
