import { ClassSerializerInterceptor, Controller, Post, UseInterceptors } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { Exclude, Expose } from 'class-transformer';
import { map, of, toArray } from 'rxjs';
import { around, Global, Outside } from '../around.js';
import { Once } from '../handler-runs.js';
import type { Group } from '../kind.js';

class User {
  readonly id = 1;
  @Exclude() readonly password = 'secret';
  readonly createdAt = new Date(0);

  @Expose()
  get name(): string {
    return 'Änne';
  }
}

const serializer = new ClassSerializerInterceptor(new Reflector());

const envelope = (name: string) => around((next) => next.handle().pipe(map((data) => ({ [name]: data }))));
const headerOf = (name: string) =>
  around((next, context) => {
    const response = context.switchToHttp().getResponse<{ header(name: string, value: string): unknown }>();
    return next.handle().pipe(
      map((value) => {
        response.header(name, 'set');
        return value;
      }),
    );
  });

@Controller('around')
class InterceptorsController {
  @Post('serializer-outside')
  @Outside(serializer)
  @Once()
  serializerOutside() {
    return new User();
  }

  @Post('serializer-global')
  @Global(serializer)
  @Once()
  serializerGlobal() {
    return [new User()];
  }

  @Post('serializer-inside')
  @UseInterceptors(serializer)
  @Once()
  serializerInside() {
    return new User();
  }

  @Post('envelope-outside')
  @Outside(envelope('data'))
  @Once()
  envelopeOutside() {
    return { id: 1 };
  }

  @Post('envelope-inside')
  @UseInterceptors(envelope('data'))
  @Once()
  envelopeInside() {
    return { id: 1 };
  }

  @Post('envelopes')
  @Outside(envelope('outside'))
  @Global(envelope('global'))
  @UseInterceptors(envelope('inside'))
  @Once()
  envelopes() {
    return 'value';
  }

  @Post('headers')
  @Outside(headerOf('x-outside'))
  @UseInterceptors(headerOf('x-inside'))
  @Once()
  headers() {
    return {};
  }

  @Post('emissions')
  @UseInterceptors(around((next) => next.handle().pipe(toArray())))
  @Once()
  emissions() {
    return of(1, 2, 3);
  }

  @Post('no-emission')
  @UseInterceptors(around((next) => next.handle().pipe(toArray())))
  @Once()
  noEmission() {
    return of();
  }

  @Post('empty-observable')
  @Once()
  emptyObservable() {
    return of();
  }

  @Post('unserializable')
  @Once()
  unserializable() {
    return { price: 10n };
  }

  @Post('cyclic')
  @Once()
  cyclic() {
    const order: Record<string, unknown> = { id: 1 };
    order['self'] = order;
    return order;
  }
}

const SERIALIZED = '{"id":1,"createdAt":"1970-01-01T00:00:00.000Z","name":"Änne"}';

export const interceptors: Group = {
  title: 'Interceptors around the handler',
  controllers: [InterceptorsController],
  kinds: [
    {
      name: 'an entity with @Exclude() behind a serializer registered before ours',
      path: '/around/serializer-outside',
      status: 201,
      answers: SERIALIZED,
    },
    {
      name: 'an entity behind a serializer of app.useGlobalInterceptors()',
      path: '/around/serializer-global',
      status: 201,
      answers: `[${SERIALIZED}]`,
    },
    {
      name: 'an entity behind a serializer of the route',
      path: '/around/serializer-inside',
      status: 201,
      answers: SERIALIZED,
    },
    {
      name: 'an answer in an envelope outside',
      path: '/around/envelope-outside',
      status: 201,
      answers: '{"data":{"id":1}}',
    },
    {
      name: 'an answer in an envelope inside',
      path: '/around/envelope-inside',
      status: 201,
      answers: '{"data":{"id":1}}',
    },
    {
      name: 'an answer in envelopes outside, global and inside',
      path: '/around/envelopes',
      status: 201,
      answers: '{"outside":{"global":{"inside":"value"}}}',
    },
    {
      name: 'an answer with headers of interceptors',
      path: '/around/headers',
      status: 201,
      has: { 'x-outside': 'set', 'x-inside': 'set' },
    },
    {
      name: 'an Observable whose emissions an interceptor collects',
      path: '/around/emissions',
      status: 201,
      answers: '[1,2,3]',
    },
    {
      name: 'an Observable without emissions that an interceptor collects',
      path: '/around/no-emission',
      status: 201,
      answers: '[]',
    },
    { name: 'an Observable without emissions', path: '/around/empty-observable', status: 500 },
    { name: 'a value that JSON does not know', path: '/around/unserializable', status: 500 },
    { name: 'a value with a cycle', path: '/around/cyclic', status: 500 },
  ],
};
