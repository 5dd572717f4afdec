import { describe, expect, it } from '@jest/globals';
import { escapeGlob, keysWithPrefix } from './scan.js';

async function collect(answers: readonly (readonly [string, readonly string[]])[], prefix: string) {
  const patterns: unknown[] = [];
  let page = 0;
  const send = (command: readonly unknown[]) => {
    patterns.push(command[3]);
    return Promise.resolve(answers[page++]);
  };
  const batches: (readonly string[])[] = [];
  for await (const keys of keysWithPrefix(send, prefix)) batches.push(keys);
  return { batches, patterns };
}

describe('keysWithPrefix', () => {
  it('gives each key once, although SCAN may find it again', async () => {
    const { batches } = await collect(
      [
        ['17', ['a', 'b', 'a']],
        ['9', ['b', 'a']],
        ['0', ['c', 'b']],
      ],
      '',
    );
    expect(batches).toEqual([['a', 'b'], ['c']]);
  });

  it('goes on after an empty page and ends at cursor 0', async () => {
    const { batches, patterns } = await collect(
      [
        ['5', []],
        ['0', ['a']],
      ],
      'shop|',
    );
    expect(batches).toEqual([['a']]);
    expect(patterns).toEqual(['shop|*', 'shop|*']);
  });

  it('takes their meaning from wildcards', () => {
    expect(escapeGlob('a*b?c[d]e\\f^-{}')).toBe('a\\*b\\?c\\[d\\]e\\\\f^-{}');
  });
});
