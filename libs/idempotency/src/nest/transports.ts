import 'reflect-metadata';
import type { DecoratedMethod } from './decorated-methods.js';
import { NEST_METADATA } from './tokens.js';

/** How a handler is reached. */
export type Transport = 'http' | 'rpc' | 'ws' | 'graphql';

const TRANSPORTS: readonly string[] = ['http', 'rpc', 'ws', 'graphql'] satisfies Transport[];

export function isTransport(type: string): type is Transport {
  return TRANSPORTS.includes(type);
}

/** Every way in which a method is reached through an interceptor; none for methods of other classes. */
export function transportsOf({ metatype, method, isController }: DecoratedMethod): readonly Transport[] {
  const has = (key: string) => Reflect.hasMetadata(key, method);
  const reached: Record<Transport, boolean> = {
    http: isController && has(NEST_METADATA.path),
    rpc: isController && has(NEST_METADATA.pattern),
    ws: has(NEST_METADATA.websocketMessage) && Reflect.hasMetadata(NEST_METADATA.gateway, metatype),
    graphql: !isController && graphqlTypeOf({ metatype, method }) !== undefined,
  };
  return (Object.keys(reached) as Transport[]).filter((transport) => reached[transport]);
}

/** The type whose field a method resolves: `Mutation`, `Query`, `Order`; undefined when it resolves none. */
export function graphqlTypeOf({
  metatype,
  method,
}: Pick<DecoratedMethod, 'metatype' | 'method'>): string | undefined {
  const own: unknown = Reflect.getMetadata(NEST_METADATA.graphqlResolver, method);
  if (typeof own === 'string') return own;
  if (Reflect.getMetadata(NEST_METADATA.graphqlProperty, method) !== true) return undefined;
  const ofClass: unknown = Reflect.getMetadata(NEST_METADATA.graphqlResolver, metatype);
  return typeof ofClass === 'string' ? ofClass : '?';
}
