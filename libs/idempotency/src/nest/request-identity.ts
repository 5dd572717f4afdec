import type { IncomingMessage } from 'node:http';
import { keyFromHeader, type HeaderKey } from '../http/key-header.js';
import { memberAt } from '../http/request-parts.js';
import {
  findKeyIn,
  keyFromValue,
  scopeOf as scopeOfCaller,
  wordsForPlaces,
  type FoundKey,
  type KeyPlaces,
} from './caller.js';
import type { Exchange } from './exchange.js';
import type { HttpRequest } from './http-request.js';
import type { KeySource, NamedKeySource } from './key-sources.js';

/** What a request needs to send, in words for the client. */
export function keyPlaces(sources: readonly KeySource[]): string {
  return wordsForPlaces(sources, { lookUp: () => ({ kind: 'absent' }), describe });
}

/** The first key that is there, readable or not; undefined when there is none. */
export function findKey(exchange: Exchange): Promise<FoundKey | undefined> {
  const places: KeyPlaces = { lookUp: (source) => lookUp(source, exchange.request), describe };
  return findKeyIn(exchange, places);
}

/**
 * Who asks, as text; undefined for nobody in particular.
 *
 * @throws IdempotencyException `scope-missing` when a configured scope yields nothing that names somebody
 */
export function scopeOf(exchange: Exchange): Promise<string | undefined> {
  return scopeOfCaller(exchange, exchange.request.user);
}

function describe({ from, name }: NamedKeySource): string | undefined {
  switch (from) {
    case 'header':
      return `the ${name} header`;
    case 'param':
      return `the parameter \`${name}\` of the route`;
    case 'body':
      return `the member \`${name}\` of the body`;
    case 'message': // of a list that the module sets for messages too
      return undefined;
  }
}

function lookUp(source: NamedKeySource, request: HttpRequest): HeaderKey {
  switch (source.from) {
    case 'header':
      return keyFromHeader(headersOnTheWire(request.rawRequest), source.name);
    case 'param':
      return keyFromValue(memberAt(request.params, source.name));
    case 'body':
      return keyFromValue(memberAt(request.body, source.name));
    case 'message': // of a list that the module sets for messages too
      return { kind: 'absent' };
  }
}

/** As they were sent, one by one. Adapters of serverless platforms and mocks only have them joined by name. */
export function headersOnTheWire({ rawHeaders, headers }: Partial<IncomingMessage>): readonly string[] {
  if (rawHeaders !== undefined && rawHeaders.length > 0) return rawHeaders;
  return Object.entries(headers ?? {}).flatMap(([name, values]) =>
    [values ?? []].flat().flatMap((value) => [name, value]),
  );
}
