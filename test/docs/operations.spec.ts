import { describe, expect, it } from '@jest/globals';
import { IDEMPOTENCY_EVENT_TYPES } from 'nestjs-idempotent';
import { page, plain, readText, rowsUnder } from './support/markdown.js';

const rows = rowsUnder(page('docs/operations.md').prose, 'event', 'log', 'meaning');

describe('the table of events in docs/operations.md', () => {
  it('has every event, and nothing else', () => {
    expect(rows.map((row) => plain(row['event'] ?? ''))).toEqual([...IDEMPOTENCY_EVENT_TYPES]);
  });

  it('says of each on which level it is logged', () => {
    const source = readText('libs/idempotency/src/nest/log-event.ts');
    const logged = Object.fromEntries(
      IDEMPOTENCY_EVENT_TYPES.map((type) => {
        const [, level = '–'] = new RegExp(`^ {2}'?${type}'?: \\[\\s*'(warn|error)'`, 'm').exec(source) ?? [];
        return [type, level];
      }),
    );
    expect(Object.fromEntries(rows.map((row) => [plain(row['event'] ?? ''), row['log']]))).toEqual(logged);
  });
});
