import { VersionAmbiguousError } from '../core/refusals.js';

/** Which version a change is made for; `any`: whatever is there (`If-Match: *`). */
export type ExpectedVersion = number | 'any';

/** The entity tag of a version: the number in quotes. */
export function etagOf(version: number): string {
  return `"${version}"`;
}

/**
 * The version that a request says its change is made for; undefined when it does not say.
 *
 * A header tells the precondition to proxies as well, a member of the body is for clients that cannot set one; both must
 * agree. A tag that `etagOf` does not make names no version, so it cannot be the present one: it gives 0.
 *
 * @param ifMatch the header `If-Match`
 * @param inBody the version that the body names, if it does
 * @throws VersionAmbiguousError (`version-ambiguous`, 400) for two versions that differ, or several tags
 */
export function expectedVersion(ifMatch: string | undefined, inBody?: number): ExpectedVersion | undefined {
  const inHeader = readIfMatch(ifMatch);
  if (inHeader === undefined) return inBody;
  if (inHeader === 'any') return inBody ?? 'any';
  if (inBody !== undefined && inBody !== inHeader) {
    throw new VersionAmbiguousError(
      `If-Match says version ${inHeader}, and the body says ${inBody}. Send one of them, or the same in both.`,
    );
  }
  return inHeader;
}

function readIfMatch(header: string | undefined): ExpectedVersion | undefined {
  const tag = header?.trim();
  if (tag === undefined || tag === '') return undefined;
  if (tag === '*') return 'any';
  // A quoted tag may hold a comma: what is left without the tags shows whether there are several.
  if (tag.replace(/"[^"]*"/g, '').includes(',')) {
    throw new VersionAmbiguousError(
      'If-Match names several versions. A change is made for one: send the ETag of the answer that it is made from.',
    );
  }
  const version = /^"?(\d{1,15})"?$/.exec(tag)?.[1];
  return version === undefined ? NO_VERSION : Number(version);
}

/** Versions start at 1. A weak tag (`W/"3"`) never matches either: RFC 9110 section 13.1.1. */
const NO_VERSION = 0;
