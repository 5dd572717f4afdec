import { describe, expect, it } from '@jest/globals';
import { filesOfRepository, pages, readText } from './support/markdown.js';

const TEXT =
  /\.(?:ts|mts|cts|js|mjs|json|md|html|css|yml|yaml|lua|sh)$|(?:^|\/)(?:run|\.npmrc|\.gitignore|LICENSE)$/;

/** What belongs to somebody's machine, or to how a change came about, and not into the repository. */
const FOREIGN: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['a path of one machine', /(?<![\w.-])\/(?:work|root|home|Users)\/\w/],
  ['the address of a package registry', /\bregistry\.[\w-]+\.(?:com|dev|io|net|org)\b|\/\/[\w.-]*npmjs\.\w+/],
  ['the number of an issue', /\b(?:issue|pull request|PR) #?\d+|(?<![\w&#/'"`])#\d+\b/i],
];

describe('the repository', () => {
  it.each(FOREIGN)('holds nowhere %s', (_what, pattern) => {
    const found = filesOfRepository()
      .filter((path) => TEXT.test(path))
      .flatMap((path) =>
        readText(path)
          .split('\n')
          .flatMap((line, at) => (pattern.test(line) ? [`${path}:${at + 1}: ${line.trim()}`] : [])),
      );
    expect(found).toEqual([]);
  });

  it('tells in its docs of the software, and not of how it was made', () => {
    const found = pages.flatMap(({ path, prose }) =>
      prose.flatMap((line, at) => (/\bsessions?\b/i.test(line) ? [`${path}:${at + 1}: ${line}`] : [])),
    );
    expect(found).toEqual([]);
  });
});
