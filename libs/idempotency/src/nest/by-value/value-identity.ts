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
export function holdsPromise(value: unknown): boolean {
  const seen = new Set<unknown>([value]);
  // A set that grows while it is walked: deep values need no stack, and circles end.
  for (const item of seen) {
    if (typeof item !== 'object' || item === null || ArrayBuffer.isView(item)) continue;
    if (types.isPromise(item)) return true;
    for (const member of Object.values(item)) seen.add(member);
  }
  return false;
}
