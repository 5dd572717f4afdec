import { InvalidOptionsError } from '../core/errors.js';
import { boundTransportOf } from './contexts/endpoints.js';
import type { DecoratedMethod } from './decorated-methods.js';
import { isNamedKeySource, type KeySource, type NamedKeySource } from './key-sources.js';
import type { IdempotencyModuleOptions, IdempotentOptions, OperationOptions } from './options.js';
import { DEFAULTS } from './resolve-options.js';
import type { Transport } from './transports.js';

/**
 * A list of the module may hold keys for every kind of handler; a handler's own may not, and what is left must have one that can
 * be there at all.
 *
 * @throws InvalidOptionsError for a handler whose key could never be found
 */
export function checkKeys(
  where: string,
  decorated: DecoratedMethod,
  transports: readonly Transport[],
  options: IdempotentOptions,
  module: IdempotencyModuleOptions,
): void {
  const own = keysOf(options);
  const keys = own ?? keysOf(module) ?? DEFAULTS.key;
  for (const transport of transports) {
    const foreign = keys.find((source) => isNamedKeySource(source) && !isReadBy(transport, source));
    const served = keys.some((source) => !isNamedKeySource(source) || isReadBy(transport, source));
    // Who is reached in several ways may need a source for each.
    const refused = own !== undefined && transports.length === 1 ? foreign !== undefined : !served;
    if (refused && isNamedKeySource(foreign)) throw wrongSource(where, transport, foreign);
    refuseHeadersAlone(where, decorated, transport, keys);
  }
}

function keysOf({ key }: OperationOptions): readonly KeySource[] | undefined {
  if (key === undefined) return undefined;
  return (Array.isArray(key) ? key : [key]) as readonly KeySource[];
}

function isReadBy(transport: Transport, { from }: NamedKeySource): boolean {
  if (from === 'header') return true;
  return transport === 'http' ? from !== 'message' : from === 'message';
}

function wrongSource(
  where: string,
  transport: Transport,
  { from, name }: NamedKeySource,
): InvalidOptionsError {
  if (transport === 'http') {
    return new InvalidOptionsError(
      `${where}: messageKey('${name}') reads a message, and this is a route. Use bodyKey('${name}').`,
    );
  }
  const what =
    transport === 'graphql'
      ? `this is a field of GraphQL. Use messageKey('${name}'), which reads its arguments`
      : `this is a message handler. Use messageKey('${name}')`;
  return new InvalidOptionsError(`${where}: ${from}Key('${name}') reads an HTTP request, and ${what}.`);
}

/** Messages of these have no headers of their own. */
function refuseHeadersAlone(
  where: string,
  decorated: DecoratedMethod,
  transport: Transport,
  keys: readonly (KeySource | undefined)[],
): void {
  const bound = transport === 'rpc' ? boundTransportOf(decorated) : transport;
  const headerless = bound === 'ws' || bound === 'tcp' || bound === 'redis';
  const usable = keys.filter((source) => !isNamedKeySource(source) || isReadBy(transport, source));
  if (!headerless || !usable.every((source) => isNamedKeySource(source) && source.from === 'header')) return;
  throw new InvalidOptionsError(
    `${where}: its key is looked for in a header, and ${bound === 'ws' ? 'a message on a WebSocket' : `a message over ${bound.toUpperCase()}`} has none. Add \`key: messageKey('id')\` with the member of the message that holds it.`,
  );
}
