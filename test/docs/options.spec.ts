import { describe, expect, it } from '@jest/globals';
import { headerKey } from 'nestjs-idempotent';
import { runInNewContext } from 'node:vm';
import ts from 'typescript';
import { DEFAULTS } from '../../libs/idempotency/src/nest/resolve-options.js';
import { page, plain, readText, rowsUnder } from './support/markdown.js';

interface Member {
  readonly name: string;
  /** The text of `@default`. */
  readonly byDefault: string | undefined;
}

/** The members that each interface or class in a file declares itself. */
function declared(file: string): Map<string, Member[]> {
  const source = ts.createSourceFile(file, readText(file), ts.ScriptTarget.Latest, true);
  return new Map(
    source.statements.filter(isType).map(({ name, members }) => [
      name?.text ?? '',
      [...members].map((member) => {
        const tag = ts.getJSDocTags(member).find(({ tagName }) => tagName.text === 'default');
        return { name: member.name?.getText() ?? '', byDefault: ts.getTextOfJSDocComment(tag?.comment) };
      }),
    ]),
  );
}

const isType = (node: ts.Node) => ts.isInterfaceDeclaration(node) || ts.isClassDeclaration(node);

const options = declared('libs/idempotency/src/nest/options.ts');
const namesIn = (name: string) => (options.get(name) ?? []).map((member) => member.name);
const rows = rowsUnder(page('docs/options.md').prose, 'option', 'where', 'default', 'meaning');
const documented = (where: string) =>
  rows.filter((row) => row['where']?.split(', ').includes(where)).map((row) => plain(row['option'] ?? ''));

describe('the table in docs/options.md', () => {
  it('names every option of the module, and no other', () => {
    const inCode = [...namesIn('OperationOptions'), ...namesIn('IdempotencyModuleOptions')];
    expect(documented('module').sort()).toEqual(inCode.sort());
  });

  it('names every option of the decorator, and no other', () => {
    const inCode = [...namesIn('OperationOptions'), ...namesIn('IdempotentOptions')];
    expect(documented('decorator').sort()).toEqual(inCode.sort());
  });

  it.each(Object.entries(DEFAULTS))('says the default of %s as it is in the code', (name, inCode) => {
    const said = rows.find((row) => plain(row['option'] ?? '') === name)?.['default'] ?? '';
    const value: unknown = runInNewContext(plain(said), { headerKey });
    expect(Array.isArray(inCode) ? [value] : value).toEqual(inCode);
  });

  it('says the same default as the comment of the option', () => {
    const members = [...options.values()].flat();
    const differing = rows.filter((row) => {
      const name = plain(row['option'] ?? '');
      const comment = members.find((member) => member.name === name)?.byDefault;
      return (name in DEFAULTS || name === 'interceptor') && comment !== plain(row['default'] ?? '');
    });
    expect(differing).toEqual([]);
  });
});

describe('docs/options.md', () => {
  const { prose } = page('docs/options.md');
  const membersOf = (file: string, type: string) =>
    (declared(`libs/idempotency/src/nest/${file}`).get(type) ?? []).map(({ name }) => name);

  it('names everything that a handler has of its operation, and nothing else', () => {
    const said = rowsUnder(prose, 'member', 'meaning').map(
      (row) => /^op\.(\w+)/.exec(plain(row['member'] ?? ''))?.[1],
    );
    expect(said.sort()).toEqual(membersOf('idempotent-operation.ts', 'IdempotentOperation').sort());
  });

  it('names every option of a job, and no other', () => {
    const said = rowsUnder(prose, 'option', 'default', 'meaning')
      .filter((row) => row['where'] === undefined)
      .map((row) => plain(row['option'] ?? ''));
    const inCode = ['RecordAddress', 'JobOptions'].flatMap((type) =>
      membersOf('idempotency.service.ts', type),
    );
    expect(said.sort()).toEqual(inCode.sort());
  });
});
