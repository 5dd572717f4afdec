import { describe, expect, it } from '@jest/globals';
import { etagOf, expectedVersion } from './expected-version.js';

describe('the version that a change is meant for', () => {
  it.each([
    ['neither header nor body', undefined, undefined, 'none'],
    ['an empty header', ' ', undefined, 'none'],
    ['the ETag of an earlier answer', etagOf(7), undefined, 7],
    ['a number without quotes', '7', undefined, 7],
    ['the body alone', undefined, 7, 7],
    ['the same in both', '"7"', 7, 7],
    ['a star: whatever is there', '*', undefined, 'any'],
    ['a star and a body: the body is stricter', '*', 7, 7],
  ])('is read from %s', (_case, ifMatch, inBody, expected) => {
    expect(expectedVersion(ifMatch, inBody)).toBe(expected);
  });

  it.each(['W/"7"', '"seven"', '"7", "8"', 'W/"a-hash"', '"99999999999999"'])(
    'is one that no order has when the tag is none of ours: %s',
    (ifMatch) => {
      expect(expectedVersion(ifMatch, undefined)).toBe(0);
    },
  );

  it('is refused when header and body disagree', () => {
    expect(() => expectedVersion('"7"', 8)).toThrow('If-Match says version 7, `version` in the body says 8');
  });
});
