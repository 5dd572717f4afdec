import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { OUTBOX_EVENT_TYPES } from '../../libs/idempotency/src/outbox/events.js';
import { DEFAULTS } from '../../libs/idempotency/src/outbox/resolve-options.js';
import { page, plain, readText, rowsUnder } from './support/markdown.js';

const { prose } = page('docs/outbox.md');

/** The members of an interface, with what their comment says by `@default`. */
function membersOf(path: string, name: string): Map<string, string | undefined> {
  const file = `libs/idempotency/src/${path}`;
  const source = ts.createSourceFile(file, readText(file), ts.ScriptTarget.Latest, true);
  const found = source.statements.find(
    (one): one is ts.InterfaceDeclaration => ts.isInterfaceDeclaration(one) && one.name.text === name,
  );
  return new Map(
    found?.members.map((member) => {
      const tag = ts.getJSDocTags(member).find(({ tagName }) => tagName.text === 'default');
      return [member.name?.getText() ?? '', ts.getTextOfJSDocComment(tag?.comment)];
    }),
  );
}

describe('docs/outbox.md', () => {
  const options = rowsUnder(prose, 'option', 'default', 'meaning');
  const relay = membersOf('outbox/options.ts', 'OutboxRelayOptions');
  const retry = membersOf('outbox/options.ts', 'OutboxRetryOptions');
  const top = membersOf('outbox/options.ts', 'OutboxOptions');

  it('names every option, and no other', () => {
    const inCode = [
      ...[...top.keys()].filter((name) => name !== 'retry'),
      ...[...relay.keys()].map((name) => `relay.${name}`),
      ...[...retry.keys()].map((name) => `retry.${name}`),
    ];
    expect(options.map((row) => plain(row['option'] ?? '')).sort()).toEqual(inCode.sort());
  });

  it.each(Object.entries(DEFAULTS))(
    'and the comments say the default of %s as it is in the code',
    (name, value) => {
      const row = options.find(
        (one) =>
          plain(one['option'] ?? '')
            .split('.')
            .at(-1) === name,
      );
      const inWords = typeof value === 'string' ? `'${value}'` : String(value);
      expect(plain(row?.['default'] ?? '')).toBe(inWords);
      expect(relay.get(name) ?? retry.get(name) ?? top.get(name)).toBe(inWords);
    },
  );

  it('names every member of a message, and no other', () => {
    const said = rowsUnder(prose, 'member', 'default', 'meaning').map((row) => plain(row['member'] ?? ''));
    const inCode = [...membersOf('typeorm/outbox/message.ts', 'NewOutboxMessage').keys()];
    expect(said.sort()).toEqual(inCode.sort());
  });

  it('names every event, and no other', () => {
    const said = rowsUnder(prose, 'event', 'means', 'line').map((row) => plain(row['event'] ?? ''));
    expect(said.sort()).toEqual([...OUTBOX_EVENT_TYPES].sort());
  });
});
