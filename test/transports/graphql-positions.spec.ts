import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  Args,
  Field,
  ID,
  InputType,
  Int,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import { Idempotent, IdempotencyService, messageKey } from 'nestjs-idempotent';
import { ask, codeOf, drivers, startGraphql } from './support/graphql-app.js';

const effects: string[] = [];

@ObjectType()
class Shop {
  @Field(() => ID)
  id!: string;
}

@InputType()
class Input {
  @Field(() => ID)
  id!: string;
  @Field()
  name!: string;
}

@Resolver(() => Shop)
class CountersResolver {
  @Query(() => Int)
  size() {
    return effects.length;
  }

  @Mutation(() => String)
  @Idempotent()
  add(@Args('name', { nullable: true, type: () => String }) name: string | null): string {
    return `${name} ${effects.push(`add ${name}`)}`;
  }

  @Mutation(() => String, { name: 'renamed' })
  @Idempotent({ key: messageKey('input.id') })
  byArgument(@Args('input', { type: () => Input }) { name }: Input): string {
    return `${name} ${effects.push(`renamed ${name}`)}`;
  }

  @Mutation(() => [Shop])
  shops(): Shop[] {
    return [Object.assign(new Shop(), { id: 's1' }), Object.assign(new Shop(), { id: 's2' })];
  }

  @ResolveField(() => String)
  @Idempotent()
  open(@Parent() { id }: Shop): string {
    return `${id} ${effects.push(`open ${id}`)}`;
  }
}

const graphql = { fieldResolverEnhancers: ['interceptors'] };

describe.each(drivers)('mutations of one field in one document, $name', (driver) => {
  beforeEach(() => void effects.splice(0));
  const start = () => startGraphql(driver, { providers: [CountersResolver], graphql });

  it('each run once, and are the same mutations when the client renames their aliases', async () => {
    const app = await start();

    const first = await ask(app, 'mutation { a: add(name: "x") b: add(name: "x") c: add(name: "y") }', {
      key: 'k',
    });
    const again = await ask(app, 'mutation { z: add(name: "x") a: add(name: "x") b: add(name: "y") }', {
      key: 'k',
    });

    expect(first.data).toEqual({ a: 'x 1', b: 'x 2', c: 'y 3' });
    expect(again.data).toEqual({ z: 'x 1', a: 'x 2', b: 'y 3' });
    expect(effects).toHaveLength(3);
  });

  it('keep their places when they come from fragments and variables, and when other fields stand between them', async () => {
    const app = await start();

    await ask(app, 'mutation { a: add(name: "x") b: add(name: "y") }', { key: 'k' });
    const again = await ask(
      app,
      `mutation($n: String) { ... on Mutation { q: add(name: "x") } shops { id } ...Rest }
       fragment Rest on Mutation { ...Inner } fragment Inner on Mutation { r: add(name: $n) }`,
      { key: 'k', variables: { n: 'y' } },
    );

    expect(again.data).toMatchObject({ q: 'x 1', r: 'y 2' });
    expect(effects).toHaveLength(2);
  });

  it('count what is executed: not what is skipped, and what is merged once', async () => {
    const app = await start();
    const document = `mutation($no: Boolean! = false) {
      s: add(name: "never") @skip(if: true) i: add(name: "never") @include(if: $no)
      a: add(name: "x") a: add(name: "x") ... @include(if: $no) { t: add(name: "never") } b: add(name: "y")
    }`;

    const first = await ask(app, document, { key: 'k' });
    const again = await ask(app, 'mutation { first: add(name: "x") second: add(name: "y") }', { key: 'k' });

    expect(first.data).toEqual({ a: 'x 1', b: 'y 2' });
    expect(again.data).toEqual({ first: 'x 1', second: 'y 2' });
    expect(effects).toEqual(['add x', 'add y']);
  });

  it('are refused as reused when another one comes to their place', async () => {
    const app = await start();

    await ask(app, 'mutation { a: add(name: "x") b: add(name: "y") }', { key: 'k' });
    const again = await ask(app, 'mutation { b: add(name: "y") }', { key: 'k' });

    expect(codeOf(again)).toBe('key-reused');
    expect(effects).toHaveLength(2);
  });

  it('are told apart by an argument where that is the key, wherever they stand', async () => {
    const app = await start();
    const one = 'renamed(input: { id: "1", name: "x" })';
    const two = 'renamed(input: { id: "2", name: "x" })';

    await ask(app, `mutation { a: ${one} b: ${two} }`);
    const again = await ask(app, `mutation { a: ${two} b: ${one} }`);
    const none = await ask(app, 'mutation { renamed(input: { id: "", name: "x" }) }');

    expect(again.data).toEqual({ a: 'x 2', b: 'x 1' });
    expect(codeOf(none)).toBe('key-malformed');
    expect(none.errors?.[0]?.message).toContain('the argument `input.id`');
    expect(effects).toHaveLength(2);
  });

  it('have the name of the schema, and the first of them the key alone', async () => {
    const app = await start();
    const service = app.app.get(IdempotencyService);

    await ask(app, 'mutation { add(name: "x") }', { key: 'k' });
    await ask(app, 'mutation { renamed(input: { id: "7", name: "x" }) }');

    const add = await service.inspect(service.recordId({ operation: 'Mutation.add', key: 'k' }));
    const renamed = await service.inspect(service.recordId({ operation: 'Mutation.renamed', key: '7' }));
    expect([add?.state, renamed?.state]).toEqual(['completed', 'completed']);
  });

  it('may be fields of objects in a list: each object has its own', async () => {
    const app = await start();
    const document = 'mutation { x: shops { id open } }';

    const first = await ask(app, document, { key: 'k' });
    const again = await ask(app, 'mutation { renamed: shops { opened: open } }', { key: 'k' });

    expect(first.data).toEqual({
      x: [
        { id: 's1', open: 's1 1' },
        { id: 's2', open: 's2 2' },
      ],
    });
    expect(again.data).toEqual({ renamed: [{ opened: 's1 1' }, { opened: 's2 2' }] });
    expect(effects).toHaveLength(2);
  });
});
