import { afterAll, describe, expect, it } from '@jest/globals';
import type { NestInterceptor } from '@nestjs/common';
import { bodyKey } from 'nestjs-idempotent';
import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { expectProblem, expectReplayOf, send } from '../support/requests.js';
import { folder, label, parsersOfAnything, plainParsers } from './support/parsers.js';
import { file, title, twoApps } from './support/two-apps.js';

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64');
const labelled = <P extends Parameters<typeof label>[0]>(parsers: readonly P[]) =>
  parsers.map((parser) => [label(parser), parser] as const);

describe.each(labelled(plainParsers))('an upload %s', (_label, parser) => {
  it('is told by fields whose names build a tree', async () => {
    const { post } = await twoApps(parser);

    const first = await post([['item[a]', '1'], ['item[b]', '2'], file()]);

    expectReplayOf(first, await post([['item[b]', '2'], ['item[a]', '1'], file()]));
    expectProblem(await post([['item[a]', '1'], ['item[b]', '3'], file()]), 422, 'key-reused');
  });

  it.each(['__proto__', 'constructor', 'toString', '__proto__[a]', 'a[__proto__]'])(
    'is told by a field of the name %s, or refused by its parser',
    async (name) => {
      const { post, seen } = await twoApps(parser);

      const first = await post([[name, 'one'], file()]);
      const other = await post([[name, 'two'], file()]);

      if (first.status === 201) {
        expectProblem(other, 422, 'key-reused');
        expectReplayOf(first, await post([[name, 'one'], file()]));
        expect(seen).toHaveLength(1);
      } else {
        expect([first.status, other.status]).toEqual([400, 400]);
        expect((await post([file()])).status).toBe(201);
      }
    },
  );

  it('may be told by some fields alone, or by all but some, and by its files in any case', async () => {
    for (const fingerprint of [{ include: ['title'] }, { exclude: ['note'] }]) {
      const { post } = await twoApps(parser, { options: { fingerprint } });

      const first = await post([title('a'), ['note', 'b'], file()]);

      expectReplayOf(first, await post([title('a'), ['note', 'c'], file()]));
      expectProblem(await post([title('b'), ['note', 'b'], file()]), 422, 'key-reused');
      expectProblem(await post([title('a'), ['note', 'b'], file({ content: '2' })]), 422, 'key-reused');
    }
  });

  it('is not told by the files of a field that is left out', async () => {
    const { post } = await twoApps(parser, { options: { fingerprint: { exclude: ['preview'] } } });
    const preview = (content: string) => file({ field: 'preview', content });

    const first = await post([file(), preview('1')]);

    expectReplayOf(first, await post([file(), preview('2')]));
    expectReplayOf(first, await post([file()]));
    expectProblem(await post([file({ content: '2' }), preview('1')]), 422, 'key-reused');
  });

  it('is not told by anything with `fingerprint: false`, and by a function alone where there is one', async () => {
    const whole = await twoApps(parser, { options: { fingerprint: false } });
    const first = await whole.post([title('a'), file()]);
    expectReplayOf(first, await whole.post([file({ content: '2' })]));

    const byHeader = await twoApps(parser, {
      options: {
        fingerprint: (context) =>
          context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-hash'],
      },
    });
    const one = await byHeader.post([file()], { 'X-Hash': '1' });
    expectReplayOf(one, await byHeader.post([file({ content: '2' })], { 'X-Hash': '1' }));
    expectProblem(await byHeader.post([file()], { 'X-Hash': '2' }), 422, 'key-reused');
  });

  it('is told by its Content-Digest where it has one: by the very bytes, and before it is parsed', async () => {
    const digest = (id: string) => ({ 'Content-Digest': `sha-256=:${sha256(id)}:` });
    const { post, seen } = await twoApps(parser);

    const first = await post([title('a'), file()], digest('one'));

    expect(first.status).toBe(201);
    // Believed, and not checked: what has the digest of the first request gets its answer.
    expectReplayOf(first, await post([title('b')], digest('one')));
    expectProblem(await post([title('a'), file()], digest('two')), 422, 'key-reused');
    expectProblem(await post([title('a'), file()]), 422, 'key-reused');
    expect(seen).toHaveLength(1);
  });

  it('is told by its parts where its Content-Digest cannot be used', async () => {
    const { post } = await twoApps(parser);

    const first = await post([file()], { 'Content-Digest': 'md5=:AAAA:' });

    expectReplayOf(first, await post([file()], { 'Content-Digest': 'nonsense' }));
    expectProblem(await post([file({ content: '2' })], { 'Content-Digest': 'nonsense' }), 422, 'key-reused');
  });

  it('is not the same as JSON with its key', async () => {
    const { post, urls } = await twoApps(parser);
    const first = await post([title('a')]);

    const json = await send(urls[0] ?? { url: '' }, '/files', { key: 'k', body: { title: 'a' } });

    expect(first.status).toBe(201);
    expectProblem(json, 422, 'key-reused');
  });

  it('has its key in a header: fields are not parsed when the key is looked for', async () => {
    const { post, seen } = await twoApps(parser, { options: { key: bodyKey('id') } });

    expectProblem(await post([['id', 'k'], file()]), 400, 'key-missing');
    expect(seen).toHaveLength(0);
  });
});

describe.each(
  labelled(parsersOfAnything.filter(({ name }) => name.includes('body') || name.includes('middleware'))),
)('an upload that is parsed before, %s', (_label, parser) => {
  it('may have its key in a field, and is replayed without asking what is inside of us', async () => {
    let inner = 0;
    const counting: NestInterceptor = {
      intercept: (_context, next) => {
        inner += 1;
        return next.handle();
      },
    };
    const key = parser.platform === 'express' ? bodyKey('id') : bodyKey('id.value');
    const { post, seen } = await twoApps({ ...parser, interceptors: () => [counting] }, { options: { key } });

    const first = await post([['id', 'k'], file()]);

    expectReplayOf(first, await post([['id', 'k'], file()]));
    expectProblem(await post([['id', 'k'], file({ content: '2' })]), 422, 'key-reused');
    expect({ runs: seen.length, inner }).toEqual({ runs: 1, inner: 1 });
  });
});

describe.each(labelled(parsersOfAnything.filter(({ name }) => name.includes('on disk'))))(
  'the file of an upload, %s',
  (_label, parser) => {
    it('stays where the parser has put it, also when the handler does not run', async () => {
      const { post } = await twoApps(parser);
      const before = readdirSync(folder).length;

      await post([file()]);
      await post([file()]);
      await post([file({ content: 'two' })]);

      expect(readdirSync(folder)).toHaveLength(before + 3);
    });
  },
);
