import { beforeEach, describe, expect, it } from '@jest/globals';
import { Field, Int, Mutation, ObjectType, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Idempotent } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { ask, drivers, startGraphql } from './support/graphql-app.js';
import { effects, ShopResolver } from './support/shop.resolver.js';

const ORDER = `
  __typename id label gift placedAt state discount
  parcels { __typename sku cost }
`;

describe.each(drivers)('a GraphQL mutation, $name', (driver) => {
  beforeEach(() => void effects.splice(0));

  const startShop = () => startGraphql(driver, { providers: [ShopResolver] });

  it('runs once per key, and its replay resolves every field as the first answer did', async () => {
    const app = await startShop();
    const document = `mutation { createOrder(input: { sku: "A-1" }) { ${ORDER} } }`;

    const first = await ask(app, document, { key: 'k' });
    const again = await ask(app, document, { key: 'k' });

    expect(first.errors).toBeUndefined();
    expect(first.data?.['createOrder']).toMatchObject({
      __typename: 'Order',
      label: expect.stringMatching(/^Order o\d+ of 2023-/),
      gift: expect.stringMatching(/ hi true$/),
      state: 'Placed',
      discount: null,
      parcels: [[{ __typename: 'Item', sku: 'A-1', cost: '12345678901234567890 cents' }], []],
    });
    expect(again.data).toEqual(first.data);
    expect(effects).toEqual(['create A-1']);
  });

  it('answers a retry that selects other fields from the same value', async () => {
    const app = await startShop();

    const first = await ask(app, 'mutation { createOrder(input: { sku: "A-1" }) { id } }', { key: 'k' });
    const again = await ask(app, `mutation { createOrder(input: { sku: "A-1" }) { ${ORDER} } }`, {
      key: 'k',
    });

    expect(again.data?.['createOrder'].id).toBe(first.data?.['createOrder'].id);
    expect(again.data?.['createOrder'].label).toContain('Order o');
    expect(effects).toHaveLength(1);
  });

  it.each(['A-1', 'refund'])('replays the member of a union that it was (%s)', async (sku) => {
    const app = await startShop();
    const document = `mutation($sku: String!) {
      settle(sku: $sku) { __typename ... on Order { ${ORDER} } ... on Refund { id reason } }
    }`;

    const first = await ask(app, document, { key: 'k', variables: { sku } });
    const again = await ask(app, document, { key: 'k', variables: { sku } });

    expect(first.data?.['settle'].__typename).toBe(sku === 'refund' ? 'Refund' : 'Order');
    expect(again.data).toEqual(first.data);
    expect(again.errors).toBeUndefined();
    expect(effects).toEqual([`settle ${sku}`]);
  });

  it('replays a list of an interface', async () => {
    const app = await startShop();
    const document = `mutation { things { __typename id ... on Order { gift } ... on Refund { reason } } }`;

    const first = await ask(app, document, { key: 'k' });
    const again = await ask(app, document, { key: 'k' });

    expect(first.data?.['things']).toMatchObject([{ __typename: 'Order' }, { __typename: 'Refund' }]);
    expect(again.data).toEqual(first.data);
    expect(effects).toEqual(['things']);
  });

  it('leaves the fields alone that are not decorated, beside those that are', async () => {
    const app = await startShop();
    const document = `mutation { plain createOrder(input: { sku: "A-1" }) { id } }`;

    const first = await ask(app, document, { key: 'k' });
    const again = await ask(app, document, { key: 'k' });

    expect(effects).toEqual(['plain', 'create A-1', 'plain']);
    expect(again.data?.['createOrder']).toEqual(first.data?.['createOrder']);
  });

  it('marks a response whose protected fields were all replayed', async () => {
    const app = await startShop();
    const one = 'a: createOrder(input: { sku: "A" }) { id }';
    const two = 'b: createOrder(input: { sku: "B" }) { id }';
    const marked = async (fields: string) =>
      (await ask(app, `mutation { ${fields} }`, { key: 'k' })).headers.get('idempotent-replayed');

    expect(await marked(one)).toBeNull();
    expect(await marked(`${one} plain`)).toBe('true');
    expect(await marked(`${one} ${two}`)).toBeNull();
    expect(await marked(`${one} ${two}`)).toBe('true');
  });

  it('tells its handler the key and the operation', async () => {
    const app = await startShop();

    const { data } = await ask(app, 'mutation { told }', { key: '"quoted"' });

    expect(data).toEqual({ told: 'quoted quoted 1 false true' });
  });

  it('gives each of those who wait a value of its own, whatever field resolvers do to it', async () => {
    const gate = new Gate();
    @ObjectType()
    class Basket {
      @Field(() => [Int])
      seen: number[] = [];
    }
    @Resolver(() => Basket)
    class Baskets {
      @Query(() => Int)
      nothing() {
        return 0;
      }
      @Mutation(() => Basket)
      @Idempotent({ inFlight: 'wait', localCache: { maxBytes: 10_000, ttl: '10s' } })
      async fill(): Promise<Basket> {
        await gate.pass();
        return new Basket();
      }
      @ResolveField(() => Int)
      visits(@Parent() { seen }: Basket): number {
        return seen.push(seen.length);
      }
    }
    const app = await startGraphql(driver, { providers: [Baskets] });
    const fill = () => ask(app, 'mutation { fill { visits } }', { key: 'k' });

    const all = [fill(), fill(), fill()];
    await gate.reached();
    gate.open();
    const answers = [...(await Promise.all(all)), await fill(), await fill()];

    expect(answers.map(({ data }) => data)).toEqual(answers.map(() => ({ fill: { visits: 1 } })));
  });
});
