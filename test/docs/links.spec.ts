import { describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { pages, root } from './support/markdown.js';

/** Targets of links and images, outside code. */
function targetsOf(prose: readonly string[]): string[] {
  const text = prose.join('\n').replace(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}

describe('links in the docs', () => {
  it.each(pages.map((page) => [page.path, page] as const))('of %s lead somewhere', (path, { prose }) => {
    const dead = targetsOf(prose).filter((target) => {
      if (/^[a-z]+:/.test(target)) return false;
      const [file = '', anchor] = target.split('#');
      const meant = file === '' ? path : normalize(join(dirname(path), file));
      if (!existsSync(join(root, meant))) return true;
      const headings = pages.find((candidate) => candidate.path === meant)?.headings ?? [];
      return anchor !== undefined && !headings.some((heading) => heading.anchor === anchor);
    });
    expect(dead).toEqual([]);
  });
});
