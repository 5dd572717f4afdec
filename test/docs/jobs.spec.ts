import { describe, expect, it } from '@jest/globals';
import { filesOfRepository, page, readText } from './support/markdown.js';

const recipes = filesOfRepository()
  .filter((path) => path.startsWith('test/jobs/recipes/'))
  .map((path) => ({ path, text: readText(path) }));

describe('docs/jobs.md', () => {
  it('shows the very code that the tests of jobs run', () => {
    const shown = page('docs/jobs.md').blocks.filter(({ language }) => language === 'ts');
    const notRun = shown.filter(({ code }) => !recipes.some(({ text }) => text.includes(code)));

    expect(notRun.map(({ line }) => `line ${line}`)).toEqual([]);
    expect(shown.length).toBeGreaterThanOrEqual(6);
  });
});
