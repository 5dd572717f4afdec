import { describe, expect, it } from '@jest/globals';
import { dirname, join, normalize } from 'node:path';
import ts from 'typescript';
import { page, readText, rowsUnder, type Page } from './support/markdown.js';

interface NamedTest {
  readonly file: string;
  readonly name: string;
}

/** Tests as the docs name them: a link to the file, then the name in “quotes”. */
function testsNamedIn(text: string, { path }: Page): NamedTest[] {
  return [...text.matchAll(/\]\(([^)\s]+\.ts)\) “([^”]+)”/g)].map(([, link = '', name = '']) => ({
    file: normalize(join(dirname(path), link)),
    name,
  }));
}

/** The names of the tests in a file, and of the clauses in a file of the contract. */
function testsOf(file: string): string[] {
  const names: string[] = [];
  const visit = (node: ts.Node): void => {
    const text = ts.isCallExpression(node) && calleeIsTest(node) ? node.arguments[0] : clauseName(node);
    if (text !== undefined && ts.isStringLiteralLike(text)) names.push(text.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, readText(file), ts.ScriptTarget.Latest, true));
  return names;
}

/** `it('…')` or `it.each(…)('…')`. */
function calleeIsTest({ expression }: ts.CallExpression): boolean {
  return /^it(\.each\b|$)/.test(expression.getText());
}

function clauseName(node: ts.Node): ts.Expression | undefined {
  return ts.isPropertyAssignment(node) && node.name.getText() === 'name' ? node.initializer : undefined;
}

const semantics = page('docs/semantics.md');
const crashes = rowsUnder(semantics.prose, 'what dies', 'the client gets', 'a retry gets', 'shown by');

describe('docs/semantics.md', () => {
  it('names only tests that exist', () => {
    const named = testsNamedIn(semantics.prose.join('\n'), semantics);
    expect(named.filter(({ file, name }) => !testsOf(file).includes(name))).toEqual([]);
  });

  it('names a test for every point of the crash table', () => {
    const unshown = crashes.filter((row) => testsNamedIn(row['shown by'] ?? '', semantics).length === 0);
    expect(unshown.map((row) => row['what dies'])).toEqual([]);
    expect(crashes.length).toBeGreaterThan(15);
  });
});
