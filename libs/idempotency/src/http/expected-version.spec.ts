import { describe, expect, it } from '@jest/globals';
import { etagOf, expectedVersion } from './expected-version.js';

describe('expectedVersion', () => {
  it.each([
    ['nothing', undefined, undefined, undefined],
    ['an empty header', '', undefined, undefined],
    ['the tag of an answer', etagOf(3), undefined, 3],
    ['a number without quotes', '3', undefined, 3],
    ['a star', '*', undefined, 'any'],
    ['a star and a version in the body', '*', 3, 3],
    ['a version in the body', undefined, 3, 3],
    ['the same version in both', '"3"', 3, 3],
    ['a weak tag, which never matches', 'W/"3"', undefined, 0],
    ['a tag of somebody else', '"abc"', undefined, 0],
    ['a tag that holds a comma', '"a,b"', undefined, 0],
    ['a number that is no version', '"12345678901234567890"', undefined, 0],
  ])('reads %s', (_what, ifMatch, inBody, expected) => {
    expect(expectedVersion(ifMatch, inBody)).toBe(expected);
  });

  it.each([
    ['two versions that differ', '"3"', 4],
    ['several tags', '"3", "4"', undefined],
    ['several weak tags', 'W/"3",W/"4"', undefined],
  ])('refuses %s', (_what, ifMatch, inBody) => {
    expect(() => expectedVersion(ifMatch, inBody)).toThrow(
      expect.objectContaining({ code: 'version-ambiguous', statusCode: 400 }),
    );
  });
});
