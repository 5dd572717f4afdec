import { types } from 'node:util';
import { keyFromHeader } from '../../http/key-header.js';
import { memberAt } from '../../http/request-parts.js';
import { keyFromValue, type KeyPlaces } from '../caller.js';
import type { ValueRequest } from '../contexts/value-request.js';

/** Where a message or the arguments of a field may have a key. */
export function keyPlacesOf({ payload, payloadName, headers }: ValueRequest): KeyPlaces {
  return {
    lookUp: ({ from, name }) => {
      if (from === 'header') return keyFromHeader(headers, name);
      return from === 'message' ? keyFromValue(memberAt(payload, name)) : { kind: 'absent' };
    },
    describe: ({ from, name }) => {
      if (from === 'header') return `the ${name} header`;
      if (from !== 'message') return undefined;
      return payloadName === 'message' ? `the member \`${name}\` of the message` : `the argument \`${name}\``;
    },
  };
}

/** Whether something is still on its way (an upload), so that nobody can tell what is asked for. */
export function holdsPromise(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return false;
  if (types.isPromise(value)) return true;
  if (ArrayBuffer.isView(value)) return false;
  return Object.values(value).some((item) => holdsPromise(item, depth + 1));
}

/** Deeper payloads are refused when they are written as canonical JSON. */
const MAX_DEPTH = 500;
