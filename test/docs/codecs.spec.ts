import { describe, expect, it } from '@jest/globals';
import { ENCRYPTED_DEFAULTS } from '../../libs/idempotency/src/core/encrypted-codec.js';
import { GZIP_DEFAULTS } from '../../libs/idempotency/src/core/gzip-codec.js';
import { ENTRY_BYTES } from '../../libs/idempotency/src/core/local-cache.js';
import { LOCAL_CACHE_DEFAULTS } from '../../libs/idempotency/src/nest/local-cache-option.js';
import { page, plain, rowsUnder } from './support/markdown.js';

const { prose } = page('docs/codecs.md');
/** Of every table of options on the page, in their order. */
const said = ['option', 'member'].flatMap((head) =>
  rowsUnder(prose, head, 'default', 'meaning').map((row) => [
    plain(row[head] ?? ''),
    plain(row['default'] ?? ''),
  ]),
);
const shown = (value: string | number) =>
  typeof value === 'string' ? `'${value}'` : String(value).replace(/(?<=\d{2,})(?=(\d{3})+$)/g, '_');

describe('the tables in docs/codecs.md', () => {
  it('have every option of codecs and cache, with its default as it is in the code', () => {
    const inCode = [
      ...Object.entries(GZIP_DEFAULTS),
      ['keys', undefined] as const,
      ...Object.entries(ENCRYPTED_DEFAULTS),
      ['maxBytes', undefined] as const,
      ...Object.entries(LOCAL_CACHE_DEFAULTS),
    ];
    expect(said).toEqual(inCode.map(([name, value]) => [name, value === undefined ? '–' : shown(value)]));
  });

  it('say what an entry of the cache counts beside its contents', () => {
    expect(prose.join(' ')).toContain(`stored result, and ${ENTRY_BYTES} for what holds them`);
  });
});
