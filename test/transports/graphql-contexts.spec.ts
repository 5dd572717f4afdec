import { describe, expect, it } from '@jest/globals';
import { Field, ID, Mutation, ObjectType, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Idempotent, IdempotencyService, messageKey } from 'nestjs-idempotent';
import { WebSocket } from 'ws';
import type { RunningApp } from '../http/support/apps.js';
import { ask, drivers, startGraphql, type GraphqlAnswer } from './support/graphql-app.js';
import { actResolver } from './support/one-mutation.js';

const [apollo, mercurius] = drivers;
const ACT = 'mutation { act(name: "m1") }';
const runsOnce = () => {
  let runs = 0;
  return () => String(++runs);
};

/** One document over a WebSocket of its own, in the protocol that both servers speak. */
async function askByWebSocket({ url }: RunningApp, protocol: string, query: string): Promise<GraphqlAnswer> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, protocol);
  const send = (message: object) => socket.send(JSON.stringify(message));
  try {
    return await new Promise<GraphqlAnswer>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', (code) => reject(new Error(`closed with ${code}`)));
      socket.once('open', () =>
        send({ type: 'connection_init', payload: { user: { id: 'said by the client' } } }),
      );
      socket.on('message', (bytes: Buffer) => {
        const { type, payload } = JSON.parse(bytes.toString()) as { type: string; payload: GraphqlAnswer };
        if (type === 'connection_ack') {
          send({ id: '1', type: protocol === 'graphql-ws' ? 'start' : 'subscribe', payload: { query } });
        } else if (type === 'next' || type === 'data' || type === 'error') resolve(payload);
      });
    });
  } finally {
    socket.terminate();
  }
}

describe('a mutation over a WebSocket', () => {
  it.each([
    { driver: apollo, protocol: 'graphql-transport-ws', graphql: { subscriptions: { 'graphql-ws': true } } },
    { driver: mercurius, protocol: 'graphql-ws', graphql: { subscription: { fullWsTransport: true } } },
  ])('runs once per key ($driver.name)', async ({ driver, protocol, graphql }) => {
    const providers = [actResolver(runsOnce(), { key: messageKey('name') })];
    const app = await startGraphql(driver, { providers, graphql });

    const first = await askByWebSocket(app, protocol, ACT);
    const again = await askByWebSocket(app, protocol, ACT);

    expect([first.data, again.data]).toEqual([{ act: '1' }, { act: '1' }]);
    const service = app.app.get(IdempotencyService);
    const id = service.recordId({ operation: 'Mutation.act', key: 'm1' });
    expect((await service.inspect(id))?.state).toBe('completed');
  });

  it('is of the user that the server puts on its connection, and of nobody else', async () => {
    let user = 'ann';
    const onConnect = ({ extra }: { extra: { user?: object } }) => void (extra.user = { id: user });
    const app = await startGraphql(apollo, {
      providers: [actResolver(runsOnce(), { key: messageKey('name') })],
      graphql: { subscriptions: { 'graphql-ws': { onConnect } } },
    });
    const as = (name: string) => ((user = name), askByWebSocket(app, 'graphql-transport-ws', ACT));

    const answers = [await as('ann'), await as('bob'), await as('ann')];

    expect(answers.map(({ data }) => data)).toEqual([{ act: '1' }, { act: '2' }, { act: '1' }]);
  });
});

describe.each(drivers)('a mutation whose context is made by the application, $name', (driver) => {
  it('is answered whatever the context calls a response', async () => {
    const context = (request: object) => ({ req: 'req' in request ? request.req : request, res: {} });
    const app = await startGraphql(driver, { providers: [actResolver(runsOnce())], graphql: { context } });

    const answers = [await ask(app, ACT, { key: 'k' }), await ask(app, ACT, { key: 'k' })];

    expect(answers.map(({ data }) => data)).toEqual([{ act: '1' }, { act: '1' }]);
  });
});

describe('mutations that Mercurius has compiled', () => {
  it('are told apart by their places as others are', async () => {
    const runs: string[] = [];
    const app = await startGraphql(mercurius, {
      providers: [actResolver((name) => `${name} ${runs.push(name)}`)],
      graphql: { jit: 1 },
    });
    const document = (a: string, b: string) => `mutation { ${a}: act(name: "A") ${b}: act(name: "B") }`;
    for (const key of ['warm', 'up']) await ask(app, document('a', 'b'), { key });
    runs.length = 0;

    const first = await ask(app, document('a', 'b'), { key: 'k' });
    const again = await ask(app, document('a', 'b'), { key: 'k' });
    const renamed = await ask(app, document('c', 'd'), { key: 'k' });

    expect(first.data).toEqual({ a: 'A 1', b: 'B 2' });
    expect(again.data).toEqual(first.data);
    expect(renamed.data).toEqual({ c: 'A 1', d: 'B 2' });
    expect(runs).toEqual(['A', 'B']);
  });

  it('and so are fields of what they return, also in fragments', async () => {
    const runs: string[] = [];
    @ObjectType()
    class Shop {
      @Field(() => ID)
      id!: string;
    }
    @Resolver(() => Shop)
    class Shops {
      @Query(() => String)
      nothing() {
        return '';
      }
      @Mutation(() => [Shop])
      shops(): Shop[] {
        return ['s1', 's2'].map((id) => Object.assign(new Shop(), { id }));
      }
      @ResolveField(() => String)
      @Idempotent()
      open(@Parent() { id }: Shop): string {
        return `${id} ${runs.push(id)}`;
      }
    }
    const graphql = { jit: 1, fieldResolverEnhancers: ['interceptors'] };
    const app = await startGraphql(mercurius, { providers: [Shops], graphql });
    const document =
      'mutation { ...All } fragment All on Mutation { shops { ...One } other: shops { id } } fragment One on Shop { a: open b: open }';
    for (const key of ['warm', 'up']) await ask(app, document, { key });
    runs.length = 0;

    const first = await ask(app, document, { key: 'k' });
    const again = await ask(app, document, { key: 'k' });

    expect([...runs].sort()).toEqual(['s1', 's1', 's2', 's2']);
    expect(again.data).toEqual(first.data);
  });
});
