import type { Type } from '@nestjs/common';
import { RpcException } from '@nestjs/microservices';
import { MessageBody, SubscribeMessage, WebSocketGateway, WsException } from '@nestjs/websockets';
import { GraphQLError } from 'graphql';
import {
  Idempotent,
  IdempotencyService,
  IdempotentOp,
  IdempotentOperation,
  messageKey,
  type IdempotencyStorage,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { ask, drivers, startGraphql } from '../../transports/support/graphql-app.js';
import { consumer } from '../../transports/support/one-consumer.js';
import { actResolver } from '../../transports/support/one-mutation.js';
import { startTcp } from '../../transports/support/tcp-app.js';
import { adapters, startWs } from '../../transports/support/ws-app.js';

export type Work = (op: IdempotentOperation) => unknown;

export interface WorldApp {
  /** What it got, or `{ code }` of the refusal. */
  ask(): Promise<unknown>;
  readonly service: IdempotencyService;
}

/** A transport: how to ask for the one operation of an app, and its final refusal. */
export interface World {
  readonly name: string;
  start(work: Work, storage: IdempotencyStorage, options?: IdempotentOptions): Promise<WorldApp>;
  refusal(): Error;
}

function gateway(work: Work, options: IdempotentOptions): Type {
  @WebSocketGateway()
  class Orders {
    @SubscribeMessage('create')
    @Idempotent({ key: messageKey('id'), ...options })
    create(@MessageBody() _data: unknown, @IdempotentOp() op: IdempotentOperation) {
      return work(op);
    }
  }
  return Orders;
}

export const worlds: readonly World[] = [
  {
    name: 'TCP',
    async start(work, storage, options = {}) {
      const app = await startTcp({
        controllers: [consumer((_data, op) => work(op), options)],
        options: { storage },
      });
      return worldApp(app.app, async () => {
        const answer = await app.send('orders.create', { id: 'm1' });
        const { error } = answer as { error?: { code?: string } };
        return error === undefined ? answer : { code: error.code };
      });
    },
    refusal: () => new RpcException({ code: 'SOLD_OUT' }),
  },
  ...drivers.map((driver): World => ({
    name: driver.name,
    async start(work, storage, options = {}) {
      const providers = [actResolver((_name, op) => work(op), options)];
      const app = await startGraphql(driver, { providers, options: { storage } });
      return worldApp(app.app, async () => {
        const { data, errors } = await ask(app, 'mutation { act }', { key: 'k' });
        return errors === undefined ? data?.['act'] : { code: errors[0]?.extensions?.['code'] };
      });
    },
    refusal: () => new GraphQLError('sold out', { extensions: { code: 'SOLD_OUT' } }),
  })),
  ...adapters.map((kind): World => ({
    name: kind.name,
    async start(work, storage, options = {}) {
      const app = await startWs(kind, { providers: [gateway(work, options)], options: { storage } });
      const peer = await kind.connect(app);
      return worldApp(app.app, async () => {
        const answer = (await peer.ask('create', { id: 'm1' })) as { exception?: { code?: string } };
        return answer.exception === undefined ? answer : { code: answer.exception.code };
      });
    },
    refusal: () => new WsException({ code: 'SOLD_OUT' }),
  })),
];

function worldApp(
  app: { get<T>(type: abstract new (...args: never[]) => T): T },
  request: () => Promise<unknown>,
): WorldApp {
  return { ask: request, service: app.get(IdempotencyService) };
}
