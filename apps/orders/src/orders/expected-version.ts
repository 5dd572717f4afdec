import { Problem } from '../../../shared/src/problems/problem.js';

/** Which version a change is meant for: a number, `any` (If-Match: *), or `none` when the request does not say. */
export type ExpectedVersion = number | 'any' | 'none';

/** Our entity tags are the version in quotes. */
export const etagOf = (version: number): string => `"${version}"`;

/** A header tells the precondition to proxies as well; the body is for clients that cannot set one. Both must agree. */
export function expectedVersion(ifMatch: string | undefined, inBody: number | undefined): ExpectedVersion {
  const inHeader = readIfMatch(ifMatch);
  if (inHeader === 'none') return inBody ?? 'none';
  if (inBody !== undefined && inHeader !== 'any' && inHeader !== inBody) {
    throw new Problem(
      400,
      'version-ambiguous',
      `If-Match says version ${inHeader}, \`version\` in the body says ${inBody}. Send one of them, or the same in both.`,
    );
  }
  return inHeader === 'any' ? (inBody ?? 'any') : inHeader;
}

/** One strong tag, as every answer carries it. A tag of another form names no version of ours, so it cannot match: 412. */
function readIfMatch(value: string | undefined): ExpectedVersion {
  const tag = value?.trim();
  if (!tag) return 'none';
  if (tag === '*') return 'any';
  const version = /^"?(\d{1,9})"?$/.exec(tag)?.[1];
  return version === undefined ? 0 : Number(version); // versions start at 1, so 0 is never the present one
}
