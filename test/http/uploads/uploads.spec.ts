import { afterAll, describe, expect, it } from '@jest/globals';
import { rmSync } from 'node:fs';
import { expectProblem, expectReplayOf } from '../support/requests.js';
import {
  folder,
  keyValues,
  label,
  parsersOfAnything,
  parsersOfFields,
  parsersOfSome,
} from './support/parsers.js';
import { file, title, twoApps } from './support/two-apps.js';

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const labelled = <P extends Parameters<typeof label>[0]>(parsers: readonly P[]) =>
  parsers.map((parser) => [label(parser), parser] as const);

describe.each(labelled([...parsersOfAnything, keyValues]))('an upload %s', (_label, parser) => {
  const parts = [title('Täst'), file({ name: 'tëst ☃.txt', content: 'öne' })];

  it('is replayed for the same fields and files behind another boundary, and its handler can read them', async () => {
    const { post, seen } = await twoApps(parser);

    const first = await post(parts);

    expect({ status: first.status, json: first.json }).toEqual({ status: 201, json: { id: 'file-1' } });
    expectReplayOf(first, await post(parts));
    expectReplayOf(first, await post(parts));
    expect(seen).toEqual([{ fields: { title: 'Täst' }, files: ['öne'] }]);
  });

  it('is another request with another file', async () => {
    const { post, seen } = await twoApps(parser);
    const first = await post(parts);

    for (const content of ['two', 'ön', 'öne ', '', new Uint8Array(3)]) {
      expectProblem(await post([title('Täst'), file({ name: 'tëst ☃.txt', content })]), 422, 'key-reused');
    }
    expectProblem(await post([title('Täst')]), 422, 'key-reused');
    expectProblem(await post([...parts, file({ content: 'two' })]), 422, 'key-reused');
    expectReplayOf(first, await post(parts));
    expect(seen).toHaveLength(1);
  });

  it('is another request with another field', async () => {
    const { post, seen } = await twoApps(parser);
    const first = await post(parts);

    for (const fields of [[title('Test')], [title('')], [], [title('Täst'), title('Täst')]]) {
      expectProblem(await post([...fields, ...parts.slice(1)]), 422, 'key-reused');
    }
    expectProblem(await post([...parts, ['note', '']]), 422, 'key-reused');
    expectReplayOf(first, await post(parts));
    expect(seen).toHaveLength(1);
  });

  it('is the same with its fields in another order, but not with the values of one field in another order', async () => {
    const { post } = await twoApps(parser);
    const [a, b, c] = [title('a'), ['tag', 'b'], ['tag', 'c']] as const;

    const first = await post([a, b, c, file()]);

    expectReplayOf(first, await post([b, file(), c, a]));
    expectProblem(await post([a, c, b, file()]), 422, 'key-reused');
  });

  it('tells two files of one field by their order', async () => {
    const { post } = await twoApps(parser);
    const [one, two] = [file({ content: 'one' }), file({ content: 'two' })];

    const first = await post([one, two]);

    expectReplayOf(first, await post([one, two]));
    expectProblem(await post([two, one]), 422, 'key-reused');
  });

  it('tells files by their fields, in whichever order those come', async () => {
    const { post } = await twoApps(parser);
    const [one, two] = [file({ field: 'a', content: 'one' }), file({ field: 'b', content: 'two' })];

    const first = await post([one, two]);

    expectReplayOf(first, await post([two, one]));
    expectProblem(
      await post([
        { ...one, field: 'b' },
        { ...two, field: 'a' },
      ]),
      422,
      'key-reused',
    );
    expectProblem(await post([one, { ...two, field: 'c' }]), 422, 'key-reused');
  });

  it('may hold an empty file', async () => {
    const { post } = await twoApps(parser);

    const first = await post([file({ content: '' })]);

    expect(first.status).toBe(201);
    expectReplayOf(first, await post([file({ content: '' })]));
    expectProblem(await post([file({ content: '0' })]), 422, 'key-reused');
  });

  it('may be large', async () => {
    const { post, seen } = await twoApps(parser);
    const content = Buffer.alloc(900_000, 'abc');
    const other = Buffer.from(content).fill('x', content.length - 1);

    const first = await post([file({ content })]);

    expectReplayOf(first, await post([file({ content })]));
    expectProblem(await post([file({ content: other })]), 422, 'key-reused');
    expect(seen.map(({ files }) => files.map((text) => text.length))).toEqual([[content.length]]);
  });
});

describe.each(labelled(parsersOfAnything))('an upload %s', (_label, parser) => {
  it('is another request with a file of another name or media type', async () => {
    const { post, seen } = await twoApps(parser);
    const first = await post([file()]);

    expectProblem(await post([file({ name: 'b.txt' })]), 422, 'key-reused');
    expectProblem(await post([file({ type: 'text/csv' })]), 422, 'key-reused');
    expectReplayOf(first, await post([file()]));
    expect(seen).toHaveLength(1);
  });
});

describe.each(labelled(parsersOfSome))('an upload %s', (_label, parser) => {
  it('is told by each of its files', async () => {
    const { post, seen } = await twoApps(parser);
    const parts = parser.files.map((field, index) => file({ field, content: `content ${index}` }));

    const first = await post([title('a'), ...parts]);

    expect(first.status).toBe(201);
    expectReplayOf(first, await post([...parts, title('a')]));
    for (const [index, part] of parts.entries()) {
      const others = parts.with(index, { ...part, content: 'other' });
      expectProblem(await post([title('a'), ...others]), 422, 'key-reused');
    }
    expectProblem(await post([title('b'), ...parts]), 422, 'key-reused');
    expect(seen).toEqual([{ fields: { title: 'a' }, files: parts.map(({ content }) => content) }]);
  });
});

describe.each(labelled(parsersOfFields))('an upload %s', (_label, parser) => {
  it('is told by its fields', async () => {
    const { post, seen } = await twoApps(parser);

    const first = await post([title('a'), ['note', 'b']]);

    expectReplayOf(first, await post([['note', 'b'], title('a')]));
    expectProblem(await post([title('a'), ['note', 'c']]), 422, 'key-reused');
    expect(seen).toEqual([{ fields: { title: 'a', note: 'b' }, files: [] }]);
  });

  it('may be empty', async () => {
    const { post } = await twoApps(parser);

    const first = await post([]);

    expect(first.status).toBe(201);
    expectReplayOf(first, await post([]));
    expectProblem(await post([title('a')]), 422, 'key-reused');
  });
});
