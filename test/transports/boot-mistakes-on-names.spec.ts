import { describe, expect, it } from '@jest/globals';
import { Controller, Post } from '@nestjs/common';
import { EventPattern, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { Idempotent, messageKey } from 'nestjs-idempotent';
import { boot, mistakeOf, withControllers } from '../http/support/boot.js';
import { withProviders } from './support/boot.js';

describe('an app does not boot with two operations of one name:', () => {
  const key = messageKey('id');

  @Controller()
  class Mailer {
    @EventPattern<string>('orders.created')
    @Idempotent({ key })
    mail(@Payload() _data: unknown) {}
  }
  @Controller()
  class Stock {
    @EventPattern<string>('orders.created', Transport.TCP)
    @Idempotent({ key })
    reserve(@Payload() _data: unknown) {}
  }
  @Controller()
  class Named {
    @MessagePattern('x')
    @Idempotent({ key, operation: 'tcp orders.created' })
    handle(@Payload() _data: unknown) {}
  }
  @WebSocketGateway({ namespace: '/chat' })
  class One {
    @SubscribeMessage('say')
    @Idempotent({ key })
    say(@MessageBody() _data: unknown) {}
  }
  @WebSocketGateway({ namespace: 'chat' })
  class Two {
    @SubscribeMessage('say')
    @Idempotent({ key })
    tell(@MessageBody() _data: unknown) {}
  }
  @WebSocketGateway({ namespace: 'other' })
  class Other {
    @SubscribeMessage('say')
    @Idempotent({ key })
    tell(@MessageBody() _data: unknown) {}
  }
  @Controller('orders')
  class Orders {
    @Post()
    @Idempotent({ operation: 'create order' })
    create() {}
  }
  @Controller()
  class OrderMessages {
    @MessagePattern('orders.create')
    @Idempotent({ key, operation: 'create order' })
    create(@Payload() _data: unknown) {}
  }
  @Controller()
  class MoreOrderMessages {
    @MessagePattern('orders.make')
    @Idempotent({ key, operation: 'create order' })
    create(@Payload() _data: unknown) {}
  }

  it.each([
    [
      'two consumers of one event',
      () => withControllers(Mailer, Stock),
      /Mailer\.mail and Stock\.reserve have the same `operation` 'tcp orders\.created'/,
    ],
    [
      'a given one that is derived elsewhere',
      () => withControllers(Mailer, Named),
      /Named\.handle and Mailer\.mail have the same/,
    ],
    [
      'two gateways in one place',
      () => withProviders(One, Two),
      /One\.say and Two\.tell have the same `operation` 'ws \/chat say'/,
    ],
    [
      'two consumers that are given one name',
      () => withControllers(OrderMessages, MoreOrderMessages),
      /have the same `operation` 'create order'/,
    ],
  ])('%s', async (_what, module, sentence) => {
    expect(await mistakeOf(module)).toMatch(sentence);
  });

  it('but does with gateways in two places, and with a route and a consumer that share their records', async () => {
    await boot({ ...withProviders(One, Other), controllers: [Orders, OrderMessages] });
  });
});
