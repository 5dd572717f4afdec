import { describe, expect, it } from '@jest/globals';
import { IDEMPOTENCY_ERROR_CODES } from 'nestjs-idempotent';
import { PROBLEMS } from '../../libs/idempotency/src/http/problem-details.js';
import { page, plain } from './support/markdown.js';

const { headings, lines } = page('docs/errors.md');
const documented = headings.filter(({ level }) => level === 3).map(({ text }) => plain(text));

/** What stands under the heading of a code. */
function section(code: string): string {
  const from = lines.indexOf(`### \`${code}\``);
  const to = lines.findIndex((line, at) => at > from && /^#{2,3} /.test(line));
  return lines.slice(from + 1, to === -1 ? undefined : to).join('\n');
}

describe('docs/errors.md', () => {
  it('has one heading for every code, and none for anything else', () => {
    expect([...documented].sort()).toEqual([...IDEMPOTENCY_ERROR_CODES].sort());
  });

  it.each(Object.entries(PROBLEMS))('says the status and the title of %s', (code, { status, title }) => {
    expect(section(code)).toContain(`**Status:** ${status}, "${title}"`);
  });

  it('says of every other code that it has no status', () => {
    for (const code of IDEMPOTENCY_ERROR_CODES.filter((code) => !(code in PROBLEMS)))
      expect(section(code)).toContain('**Status:** none');
  });

  it('says of every code when it comes and who does what then, or what it is reserved for', () => {
    for (const code of documented) {
      const said = section(code);
      const used = ['**When:**', '**Client:**', '**Operator:**'].every((word) => said.includes(word));
      expect({ code, used: used !== said.includes('**Reserved for:**') }).toEqual({ code, used: true });
    }
  });

  it('has an anchor that is the code, because problems link to it', () => {
    for (const { text, anchor, level } of headings) if (level === 3) expect(anchor).toBe(plain(text));
  });
});
