import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical-json.js';

/** The fingerprint of a request that is not compared at all. */
export const NO_FINGERPRINT = '';

/** Hash that says "the same request": SHA-256 over the canonical JSON of the parts, 43 characters. */
export function fingerprintOf(parts: unknown): string {
  return createHash('sha256').update(canonicalJson(parts)).digest('base64url');
}
