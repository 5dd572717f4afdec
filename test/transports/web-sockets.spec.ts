import { describe, expect, it } from '@jest/globals';
import {
  Injectable,
  UseInterceptors,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import {
  Ack,
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WsException,
} from '@nestjs/websockets';
import {
  Idempotent,
  IdempotencyKey,
  IdempotencyService,
  IdempotentOp,
  IdempotentOperation,
  messageKey,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { concat, EMPTY, from, interval, map, Observable, of } from 'rxjs';
import { eventually } from '../http/support/eventually.js';
import { adapters, socketIo, startWs } from './support/ws-app.js';

interface Message {
  readonly id?: string;
  readonly user?: string;
}
type Handle = (data: Message, op: IdempotentOperation, key: string) => unknown;

/** A gateway with the message `create`, whose key is the member `id`. */
function gateway(handle: Handle, options: IdempotentOptions = {}, place: object = {}): Type {
  @WebSocketGateway(place)
  class Orders {
    @SubscribeMessage('create')
    @Idempotent({ key: messageKey('id'), ...options })
    create(
      @MessageBody() data: Message,
      @ConnectedSocket() _client: unknown,
      @IdempotentOp() op: IdempotentOperation,
      @IdempotencyKey() key: string,
    ) {
      return handle(data, op, key);
    }
  }
  return Orders;
}

const message = { id: 'm1', sku: 'A-1' };

describe.each(adapters)('a message on a WebSocket ($name)', (kind) => {
  const { connect } = kind;
  const start = (handle: Handle, options?: IdempotentOptions, place?: object) =>
    startWs(kind, { providers: [gateway(handle, options, place)] });

  it('runs its handler once per key, on whatever connection it comes again', async () => {
    let runs = 0;
    const app = await start((_data, op, key) => ({ run: ++runs, key, op: [op.key, op.attempt] }));
    const [one, two] = [await connect(app), await connect(app)];

    const first = await one.ask('create', message);
    const again = [await one.ask('create', message), await two.ask('create', message)];

    expect(first).toEqual({ run: 1, key: 'm1', op: ['m1', 1] });
    expect(again).toEqual([first, first]);
  });

  it('answered by an event is answered by the same event again', async () => {
    let runs = 0;
    const app = await start(() => ({ event: 'created', data: { run: ++runs } }));
    const peer = await connect(app);

    expect(await peer.askFor(1, 'create', message)).toEqual([['created', { run: 1 }]]);
    expect(await peer.askFor(1, 'create', message)).toEqual([['created', { run: 1 }]]);
  });

  it('answered by several events is answered by all of them again', async () => {
    let runs = 0;
    const app = await start(() => (runs++, from([1, 2, 3]).pipe(map((data) => ({ event: 'step', data })))));
    const peer = await connect(app);

    const steps = [
      ['step', 1],
      ['step', 2],
      ['step', 3],
    ];
    expect(await peer.askFor(3, 'create', message)).toEqual(steps);
    expect(await peer.askFor(3, 'create', message)).toEqual(steps);
    expect(runs).toBe(1);
  });

  it('is named by its event, and by the place of its gateway when that has one', async () => {
    const place = kind.name === 'ws' ? { path: '/chat' } : { namespace: 'chat' };
    const app = await start(() => 'done', {}, place);
    const peer = await connect(app, '/chat');
    const service = app.app.get(IdempotencyService);

    await peer.ask('create', message);

    const record = await service.inspect(service.recordId({ operation: 'ws /chat create', key: 'm1' }));
    expect(record?.state).toBe('completed');
  });

  it('without a key, or under the key of another one, is refused by an exception with a problem', async () => {
    const app = await start(() => 'done');
    const peer = await connect(app);

    await peer.ask('create', message);
    const missing = await peer.ask('create', {});
    const reused = await peer.ask('create', { ...message, sku: 'B' });

    expect(missing).toEqual({
      exception: {
        type: 'about:blank',
        title: 'Idempotency key missing',
        status: 400,
        code: 'key-missing',
        detail: expect.stringMatching(/^ws create needs the member `id` of the message/),
      },
    });
    expect(reused).toMatchObject({ exception: { code: 'key-reused' } });
  });

  it('waits for the one that runs, also when whoever sent that is gone', async () => {
    const gate = new Gate();
    let runs = 0;
    const app = await start(async () => (await gate.pass(), ++runs));
    const [one, two] = [await connect(app), await connect(app)];

    one.tell('create', message);
    await gate.reached();
    const waiting = two.ask('create', message);
    one.close();
    gate.open();

    expect(await waiting).toBe(1);
    expect(await two.ask('create', message)).toBe(1);
  });

  it.each([
    ['a WsException with an object', () => new WsException({ code: 'SOLD_OUT' }), { code: 'SOLD_OUT' }, 1],
    [
      'a WsException with a text',
      () => new WsException('sold out'),
      { status: 'error', message: 'sold out' },
      1,
    ],
    ['any other error', () => new Error('x'), { status: 'error', message: 'Internal server error' }, 2],
  ])('that threw %s is refused the same way again', async (_what, error, payload, expected) => {
    let runs = 0;
    const app = await start(() => {
      runs += 1;
      throw error();
    });
    const peer = await connect(app);

    expect(await peer.ask('create', message)).toEqual({ exception: expect.objectContaining(payload) });
    expect(await peer.ask('create', message)).toEqual({ exception: expect.objectContaining(payload) });
    expect(runs).toBe(expected);
  });

  it('is of the user that a guard puts on the socket, and of nobody else', async () => {
    @Injectable()
    class UserGuard implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        const ws = context.switchToWs();
        const { user } = ws.getData<Message>();
        ws.getClient<{ data?: { user?: object } }>().data = { user: { id: user } };
        return true;
      }
    }
    let runs = 0;
    const app = await startWs(kind, {
      providers: [gateway(() => ++runs, { fingerprint: false }), { provide: APP_GUARD, useClass: UserGuard }],
    });
    const as = async (user: string) => (await connect(app)).ask('create', { id: 'm1', user });

    expect([await as('ann'), await as('bob'), await as('ann')]).toEqual([1, 2, 1]);
  });

  it('whose endless answer loses its listener is stopped, and never runs again', async () => {
    let runs = 0;
    let stopped = 0;
    const app = await start(() => {
      runs += 1;
      return new Observable((subscriber) => {
        const ticks = concat(of(0, 1), interval(5)).pipe(map((data) => ({ event: 'tick', data })));
        const subscription = ticks.subscribe(subscriber);
        return () => {
          stopped += 1;
          subscription.unsubscribe();
        };
      });
    });
    const [one, two] = [await connect(app), await connect(app)];

    await one.askFor(3, 'create', message);
    one.close();
    await eventually(() => expect(stopped).toBe(1));

    expect(await two.ask('create', message)).toMatchObject({ exception: { code: 'result-not-replayable' } });
    expect(runs).toBe(1);
  });
});

describe('a message on socket.io with an acknowledgement', () => {
  it('that its handler sends by itself gets the same one again', async () => {
    const gate = new Gate();
    let runs = 0;
    @WebSocketGateway()
    class Acks {
      @SubscribeMessage('create')
      @Idempotent({ key: messageKey('id') })
      async create(@MessageBody() _data: Message, @Ack() ack: (value: unknown) => void) {
        ack({ run: ++runs });
        await gate.pass();
      }
    }
    const app = await startWs(socketIo, { providers: [Acks] });
    const peer = await socketIo.connect(app);

    let isOut = false;
    const first = peer.ask('create', message).finally(() => (isOut = true));
    await gate.reached();
    const early = isOut;
    gate.open();

    expect(await first).toEqual({ run: 1 });
    expect(await peer.ask('create', message)).toEqual({ run: 1 });
    expect([early, runs]).toEqual([false, 1]);
  });

  it('that something else sends before its handler begins is not held back', async () => {
    let runs = 0;
    const busy: NestInterceptor = {
      intercept: (context) => {
        context.getArgByIndex<(said: string) => void>(2)('busy');
        return EMPTY;
      },
    };
    @WebSocketGateway()
    class Acks {
      @SubscribeMessage('create')
      @UseInterceptors(busy)
      @Idempotent({ key: messageKey('id') })
      create(@MessageBody() _data: Message, @Ack() ack: (value: unknown) => void) {
        ack({ run: ++runs });
      }
    }
    const app = await startWs(socketIo, { providers: [Acks] });
    const peer = await socketIo.connect(app);

    expect(await peer.ask('create', message)).toBe('busy');
    expect(await peer.ask('create', message)).toBe('busy');
    expect(runs).toBe(0);
  });

  it('carries bytes in its reply, on a replay too', async () => {
    const app = await startWs(socketIo, {
      providers: [gateway(() => ({ bytes: Buffer.from([0, 1, 255]), at: new Date(0) }))],
    });
    const peer = await socketIo.connect(app);

    const first = await peer.ask('create', message);

    expect(first).toEqual({ bytes: Buffer.from([0, 1, 255]), at: '1970-01-01T00:00:00.000Z' });
    expect(await peer.ask('create', message)).toEqual(first);
  });
});
