import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import ts from 'typescript';

const SOURCES = resolve('libs/idempotency/src');

const parse = (file: string) =>
  ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);

/** The statements of a file that declare a name: several for overloads. */
function declarationsOf(file: string, name: string): ts.Node[] {
  return parse(file).statements.filter((statement) =>
    ts.isVariableStatement(statement)
      ? statement.declarationList.declarations.some((declaration) => declaration.name.getText() === name)
      : (statement as ts.DeclarationStatement).name?.text === name,
  );
}

const hasDocstring = (node: ts.Node) => ts.getJSDocCommentsAndTags(node).some(ts.isJSDoc);

/** What an entry hands on, with the file where it is declared. */
function exportsOf(entry: string): { readonly name: string; readonly file: string }[] {
  return parse(entry)
    .statements.filter(ts.isExportDeclaration)
    .flatMap(({ exportClause, moduleSpecifier }) => {
      if (exportClause === undefined || !ts.isNamedExports(exportClause)) throw new Error('not by name');
      const from = (moduleSpecifier as ts.StringLiteral).text.replace(/\.js$/, '.ts');
      const file = resolve(dirname(entry), from);
      return exportClause.elements.map((element) => ({
        name: (element.propertyName ?? element.name).text,
        file,
      }));
    });
}

describe('everything that an entry point exports', () => {
  it.each(['index.ts', 'redis/index.ts', 'typeorm/index.ts', 'testing/index.ts'])(
    'says what it is: %s',
    (entry) => {
      const exported = exportsOf(resolve(SOURCES, entry));
      expect(exported.length).toBeGreaterThan(1);
      const silent = exported.filter(({ name, file }) => !declarationsOf(file, name).some(hasDocstring));
      expect(silent.map(({ name }) => name)).toEqual([]);
    },
  );
});
