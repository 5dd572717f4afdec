import { describe, expect, it } from '@jest/globals';
import { page } from './support/markdown.js';

describe('the first 30 lines of the README', () => {
  const readme = page('README.md');
  const first = readme.lines.slice(0, 30).join('\n');

  it('hold the name, the promise, the limit and how to install it', () => {
    expect(first).toMatch(/^# nestjs-idempotent\n\n.*one effect and one answer/);
    expect(first).toContain('**Limit**');
    expect(first).toContain('npm install nestjs-idempotent');
  });

  it('hold the whole example, and curl twice', () => {
    const [module, curl] = readme.blocks;
    expect(first).toContain(module?.code);
    expect(module?.code).toContain('IdempotencyModule.forRoot(');
    expect(module?.code).toContain('@Idempotent(');
    expect(curl?.code.match(/^curl /gm)).toHaveLength(2);
    expect(first).toContain(curl?.code);
  });

  it('hold the whole table of what the client sees', () => {
    const lines = readme.lines.slice(0, 31);
    expect(lines[30]).toBe('');
    expect(lines[29]).toMatch(/^\|/);
    for (const word of ['Idempotent-Replayed', '409', '422', '400', '503']) expect(first).toContain(word);
  });
});
