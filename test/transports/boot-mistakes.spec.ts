import { ApolloDriver } from '@nestjs/apollo';
import { Controller, type Type } from '@nestjs/common';
import {
  Field,
  GraphQLModule,
  ID,
  Mutation,
  ObjectType,
  Query,
  ResolveField,
  Resolver,
  Subscription,
} from '@nestjs/graphql';
import {
  EventPattern,
  GrpcMethod,
  GrpcStreamCall,
  GrpcStreamMethod,
  MessagePattern,
  Payload,
  Transport,
} from '@nestjs/microservices';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { describe, expect, it } from '@jest/globals';
import {
  bodyKey,
  Idempotent,
  IdempotencyModule,
  IdempotentOp,
  messageKey,
  paramKey,
  type IdempotencyModuleOptions,
  type IdempotentOperation,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { boot, mistakeOf, withControllers } from '../http/support/boot.js';
import { withProviders } from './support/boot.js';

/** A controller whose message handler has these decorators and options. */
function consumer(
  pattern: MethodDecorator,
  options?: IdempotentOptions,
  module: IdempotencyModuleOptions = {},
) {
  @Controller()
  class Consumer {
    @pattern
    @Idempotent(options)
    handle(@Payload() _data: unknown) {}
  }
  return { imports: [IdempotencyModule.forRoot(module)], controllers: [Consumer] };
}

const patterned: MethodDecorator = MessagePattern('x');
const overTcp: MethodDecorator = MessagePattern('x', Transport.TCP);

describe('an app does not boot with @Idempotent() on a message handler', () => {
  it.each([
    [
      'whose key is in a body',
      () => consumer(patterned, { key: bodyKey('id') }),
      /bodyKey\('id'\) reads an HTTP request, and this is a message handler\. Use messageKey\('id'\)/,
    ],
    [
      'whose key is a parameter, beside others',
      () => consumer(patterned, { key: [messageKey('id'), paramKey('id')] }),
      /paramKey\('id'\) reads an HTTP request/,
    ],
    [
      'whose only key is that of all routes',
      () => consumer(patterned, {}, { key: bodyKey('id') }),
      /bodyKey\('id'\) reads an HTTP request/,
    ],
    [
      'over TCP whose key is in a header',
      () => consumer(overTcp),
      /its key is looked for in a header, and a message over TCP has none\. Add `key: messageKey\('id'\)`/,
    ],
    [
      'that is a stream of requests (a subject)',
      () => consumer(GrpcStreamMethod('Orders', 'Create'), { key: messageKey('id') }),
      /a gRPC stream of requests has no single key.*IdempotencyService\.run\(\)/,
    ],
    [
      'that is a stream of requests (a call)',
      () => consumer(GrpcStreamCall('Orders', 'Create'), { key: messageKey('id') }),
      /a gRPC stream of requests/,
    ],
    [
      'that is transactional',
      () => consumer(patterned, { key: messageKey('id'), transactional: true }),
      /`transactional` needs a storage/,
    ],
  ])('%s', async (_what, module, sentence) => {
    const mistake = await mistakeOf(module);

    expect(mistake).toMatch(/^@Idempotent\(\) on Consumer\.handle: /);
    expect(mistake).toMatch(sentence);
  });

  it('over which another decorator has put a function without its metadata: a hybrid app has nothing else', async () => {
    const hiding: MethodDecorator = (_target, _name, descriptor) => {
      const original = descriptor.value as unknown as (...args: unknown[]) => unknown;
      const hidden = (...args: unknown[]) => original(...args);
      Reflect.defineMetadata('microservices:pattern', ['x'], hidden);
      descriptor.value = hidden as never;
    };

    @Controller()
    class Consumer {
      @hiding
      @Idempotent({ key: messageKey('id') })
      handle() {}
    }

    expect(await mistakeOf(() => withControllers(Consumer))).toMatch(
      /has put a function over this method.*hybrid application/,
    );
  });

  it.each([
    ['a message', patterned],
    ['an event', EventPattern<string>('x')],
    ['a single gRPC request', GrpcMethod('Orders', 'Create')],
  ])('but does with one for %s', async (_what, pattern) => {
    await boot(consumer(pattern, { key: messageKey('id') }));
    await boot(consumer(pattern, {}, { key: [bodyKey('id'), messageKey('id')] }));
  });
});

describe('an app does not boot with @Idempotent() on a gateway', () => {
  function gateway(options: IdempotentOptions = {}): Type {
    @WebSocketGateway()
    class Gateway {
      @SubscribeMessage('x')
      @Idempotent(options)
      handle(@MessageBody() _data: unknown) {}
    }
    return Gateway;
  }

  it('whose key is in a header, because messages have none', async () => {
    expect(
      await mistakeOf(() => ({ imports: [IdempotencyModule.forRoot({})], providers: [gateway()] })),
    ).toMatch(/its key is looked for in a header, and a message on a WebSocket has none/);
  });

  it('but does with the module’s list for everything', async () => {
    await boot(withProviders(gateway()));
  });
});

describe('an app does not boot with @Idempotent() on a resolver', () => {
  @ObjectType()
  class Thing {
    @Field(() => ID)
    id!: string;
  }
  function resolver(decorator: MethodDecorator, options: IdempotentOptions = {}): Type {
    @Resolver(() => Thing)
    class Things {
      @Query(() => Thing)
      thing() {
        return new Thing();
      }
      @decorator
      @Idempotent(options)
      handle() {
        return '1';
      }
    }
    return Things;
  }
  const mutation = Mutation(() => String);

  it.each([
    ['a subscription', () => resolver(Subscription(() => String)), /a subscription has no single answer/],
    [
      'a key in a body',
      () => resolver(mutation, { key: bodyKey('id') }),
      /this is a field of GraphQL\. Use messageKey\('id'\), which reads its arguments/,
    ],
    [
      'a field that no interceptor reaches',
      () => resolver(ResolveField(() => String)),
      /reaches a @ResolveField\(\) by default.*fieldResolverEnhancers: \['interceptors'\]/,
    ],
  ])('with %s', async (_what, made, sentence) => {
    expect(await mistakeOf(() => withProviders(made()))).toMatch(sentence);
  });

  it('but does with a field that interceptors reach', async () => {
    const graphql = {
      driver: ApolloDriver,
      autoSchemaFile: true,
      fieldResolverEnhancers: ['interceptors' as const],
    };
    await boot({
      imports: [GraphQLModule.forRoot(graphql), IdempotencyModule.forRoot({})],
      providers: [resolver(ResolveField(() => String))],
    });
  });
});

describe('an app does not boot with an operation that a method has not, in the parameters of', () => {
  @Controller()
  class Consumer {
    @MessagePattern('x')
    handle(@Payload() _data: unknown, @IdempotentOp() _op: IdempotentOperation) {}
  }
  @WebSocketGateway()
  class Gateway {
    @SubscribeMessage('x')
    handle(@IdempotentOp() _op: IdempotentOperation) {}
  }
  @Resolver()
  class Resolvers {
    @Mutation(() => String)
    handle(@IdempotentOp() _op: IdempotentOperation) {}
  }

  it.each([
    ['a message handler', () => withControllers(Consumer)],
    ['a gateway', () => withProviders(Gateway)],
    ['a resolver', () => withProviders(Resolvers)],
  ])('%s', async (_what, module) => {
    expect(await mistakeOf(module)).toMatch(/@IdempotentOp\(\) on \w+\.handle has no operation to give/);
  });
});
