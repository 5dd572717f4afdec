import { describe, expect, it } from '@jest/globals';
import type { ExecutionContext } from '@nestjs/common';
import {
  KafkaContext,
  MqttContext,
  NatsContext,
  RedisContext,
  RmqContext,
  TcpContext,
} from '@nestjs/microservices';
import { keyFromHeader } from '../../http/key-header.js';
import type { HandlerPlan } from '../handler-plan.js';
import { brokerCorrelationId, brokerHeaders } from './broker-headers.js';
import { rpcRequestOf } from './rpc.js';

/** As the NATS client has them: names in the case in which they were sent, values in a list. */
class NatsHeaders {
  keys() {
    return ['Idempotency-Key', 'other'];
  }
  values(name: string) {
    return name === 'other' ? ['x', 'y'] : ['k-1'];
  }
}
const socket = {} as never;
const rest = [undefined, undefined, undefined] as never[];

const contexts: readonly (readonly [string, object])[] = [
  ['rmq', new RmqContext([{ properties: { headers: { 'Idempotency-Key': 'k-1' } } }, {}, 'orders'])],
  [
    'kafka',
    new KafkaContext([
      { headers: { 'IDEMPOTENCY-KEY': Buffer.from('k-1') } } as never,
      0,
      'orders',
      ...(rest as [never, never, never]),
    ]),
  ],
  ['nats', new NatsContext(['orders', new NatsHeaders() as never])],
  ['mqtt', new MqttContext(['orders', { properties: { userProperties: { 'idempotency-key': 'k-1' } } }])],
  ['tcp', new TcpContext([socket, 'orders', { 'Idempotency-Key': 'k-1' }] as never)],
  ['redis', new RedisContext(['orders', { 'Idempotency-Key': '"k-1"' }] as never)],
];

describe('a message’s key in its headers', () => {
  it.each(contexts)('is found in any case of letters (%s)', (_name, context) => {
    expect(keyFromHeader(brokerHeaders(context), 'idempotency-Key')).toEqual({ kind: 'key', key: 'k-1' });
  });

  it('is malformed when it is there twice', () => {
    const twice = new RmqContext([{ properties: { headers: { a: ['1', '2'] } } }, {}, 'orders']);

    expect(keyFromHeader(brokerHeaders(twice), 'a')).toMatchObject({ kind: 'malformed' });
  });

  it.each([
    undefined,
    null,
    {},
    new RmqContext([{}, {}, 'orders']),
    new NatsContext(['x', undefined as never]),
  ])('is absent where there are none (%#)', (context) => {
    expect(brokerHeaders(context)).toEqual([]);
  });
});

describe('the id and the correlation of a RabbitMQ message', () => {
  const message = (properties: object) => new RmqContext([{ properties }, {}, 'orders']);

  it.each(['messageId', 'MESSAGEID', 'message-id', 'Message-Id'])('is found by headerKey(%j)', (name) => {
    expect(keyFromHeader(brokerHeaders(message({ messageId: 'm-1' })), name)).toEqual({
      kind: 'key',
      key: 'm-1',
    });
  });

  it('gives way to a header that is really sent under its name', () => {
    const headers = brokerHeaders(message({ messageId: 'm-1', headers: { 'Message-ID': 'k-1' } }));
    expect(keyFromHeader(headers, 'message-id')).toEqual({ kind: 'key', key: 'k-1' });
    expect(keyFromHeader(headers, 'messageId')).toEqual({ kind: 'key', key: 'm-1' });
  });

  it('is that of its sender, and of no request of Nest', () => {
    expect(brokerCorrelationId(message({ correlationId: 'c-1' }))).toBe('c-1');
    expect(brokerCorrelationId(message({ correlationId: 'c-1', replyTo: 'replies' }))).toBeUndefined();
    expect(brokerCorrelationId(new RedisContext(['orders']))).toBeUndefined();
  });
});

describe('the operation of a message', () => {
  const operationOf = (about: object, names: readonly string[]) =>
    rpcRequestOf(
      {
        switchToRpc: () => ({ getContext: () => about, getData: () => undefined }),
      } as unknown as ExecutionContext,
      { message: { names, isEvent: false } } as unknown as HandlerPlan,
    ).operation;

  it.each(contexts)('has the name of its transport (%s)', (name, context) => {
    expect(operationOf(context, ['orders'])).toBe(`${name} orders`);
  });

  it('is named by the pattern that it was sent to, of several, and by the registered one for a wildcard', () => {
    expect(operationOf(new NatsContext(['b', undefined as never]), ['a', 'b'])).toBe('nats b');
    expect(operationOf(new NatsContext(['orders.1', undefined as never]), ['orders.*'])).toBe(
      'nats orders.*',
    );
    expect(
      operationOf(new TcpContext([socket, '{"v":1,"cmd":"x"}'] as never), ['a', '{"cmd":"x","v":1}']),
    ).toBe('tcp {"cmd":"x","v":1}');
    expect(operationOf({}, ['a'])).toBe('rpc a');
  });
});
