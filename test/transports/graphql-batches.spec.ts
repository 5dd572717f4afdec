import { beforeEach, describe, expect, it } from '@jest/globals';
import { Args, Int, Mutation, Query, Resolver } from '@nestjs/graphql';
import { Idempotent, messageKey } from 'nestjs-idempotent';
import { drivers, startGraphql, type GraphqlAnswer } from './support/graphql-app.js';
import type { RunningApp } from '../http/support/apps.js';

const effects: string[] = [];

@Resolver()
class CountersResolver {
  @Query(() => Int)
  size() {
    return effects.length;
  }

  @Mutation(() => String)
  @Idempotent()
  add(@Args('name') name: string): string {
    return `${name} ${effects.push(`add ${name}`)}`;
  }

  @Mutation(() => String)
  @Idempotent()
  remove(@Args('name') name: string): string {
    return `${name} ${effects.push(`remove ${name}`)}`;
  }

  @Mutation(() => String)
  @Idempotent({ key: messageKey('id') })
  byArgument(@Args('id') id: string): string {
    return `${id} ${effects.push(`by ${id}`)}`;
  }
}

/** Several documents in one HTTP request. */
async function askAll(
  { url }: RunningApp,
  queries: readonly string[],
): Promise<{ readonly answers: readonly GraphqlAnswer[]; readonly mark: string | null }> {
  const answer = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': 'k' },
    body: JSON.stringify(queries.map((query) => ({ query }))),
  });
  return {
    answers: (await answer.json()) as GraphqlAnswer[],
    mark: answer.headers.get('idempotent-replayed'),
  };
}

const seen = ({ data, errors }: GraphqlAnswer): unknown => errors?.[0]?.extensions?.['code'] ?? data;

describe.each(drivers)('documents in one HTTP request, $name', (driver) => {
  const startBatching = () =>
    startGraphql(driver, {
      providers: [CountersResolver],
      graphql: { allowBatchedHttpRequests: true, allowBatchedQueries: true },
    });
  beforeEach(() => void (effects.length = 0));

  it('cannot share a header key for one operation: the second is refused, and not taken for the first', async () => {
    const app = await startBatching();
    const twice = ['mutation { add(name: "a") }', 'mutation { add(name: "a") }'];

    const first = await askAll(app, twice);
    const again = await askAll(app, twice);

    for (const { answers } of [first, again]) {
      expect(answers.map(seen)).toEqual([{ add: 'a 1' }, 'key-malformed']);
      expect(answers[1]?.errors?.[0]?.extensions?.['detail']).toMatch(/several documents/);
    }
    expect(effects).toEqual(['add a']);
  });

  it('may share a header key for different operations, and have keys of their own in their arguments', async () => {
    const app = await startBatching();
    const documents = [
      'mutation { add(name: "a") b: add(name: "b") }',
      'mutation { remove(name: "a") }',
      '{ size }',
      'mutation { byArgument(id: "1") }',
      'mutation { byArgument(id: "2") }',
    ];

    const first = await askAll(app, documents);
    const ran = [...effects].sort();
    const again = await askAll(app, documents);

    expect(ran).toEqual(['add a', 'add b', 'by 1', 'by 2', 'remove a']);
    expect(effects).toHaveLength(5);
    for (const at of [0, 1, 3, 4]) expect(again.answers[at]?.data).toEqual(first.answers[at]?.data);
    expect([first.mark, again.mark]).toEqual([null, 'true']);
  });

  it('are not marked as replayed when a field of one of them ran', async () => {
    const app = await startBatching();
    const [old, fresh] = ['mutation { remove(name: "a") }', 'mutation { add(name: "a") }'];
    await askAll(app, [old]);

    expect((await askAll(app, [fresh, old])).mark).toBeNull();
  });
});
