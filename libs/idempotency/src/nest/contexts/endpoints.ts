import 'reflect-metadata';
import type { DecoratedMethod } from '../decorated-methods.js';
import type { MessageEndpoint } from '../handler-plan.js';
import { NEST_METADATA } from '../tokens.js';
import { graphqlTypeOf, type Transport } from '../transports.js';
import { patternName } from './rpc.js';

/** `PatternHandler.EVENT` of `@nestjs/microservices`. */
const EVENT = 2;
/** `Transport` of `@nestjs/microservices`, by its numbers. */
export const TRANSPORT_NAMES = ['tcp', 'redis', 'nats', 'mqtt', 'grpc', 'rmq', 'kafka'] as const;

type Reached = Pick<DecoratedMethod, 'metatype' | 'method' | 'name'>;

export function messageEndpointOf({ metatype, method }: Reached, transport: Transport): MessageEndpoint {
  const of = (key: string): unknown => Reflect.getMetadata(key, method);
  if (transport === 'ws') {
    return {
      names: [`${placeOf(metatype)}${patternName(of(NEST_METADATA.websocketEvent))}`],
      isEvent: false,
    };
  }
  const patterns = of(NEST_METADATA.pattern);
  const list = Array.isArray(patterns) ? (patterns as unknown[]) : [patterns];
  return { names: list.map(patternName), isEvent: of(NEST_METADATA.patternKind) === EVENT };
}

/** The transport that a pattern is bound to; undefined when any may deliver it. */
export function boundTransportOf({ method }: Reached): string | undefined {
  const bound: unknown = Reflect.getMetadata(NEST_METADATA.patternTransport, method);
  return typeof bound === 'number' ? TRANSPORT_NAMES[bound] : undefined;
}

/** `Mutation.createOrder`, as the schema will name it. */
export function fieldNameOf(method: Reached): string {
  const name: unknown = Reflect.getMetadata(NEST_METADATA.graphqlName, method.method);
  return `${graphqlTypeOf(method) ?? ''}.${typeof name === 'string' && name !== '' ? name : String(method.name)}`;
}

/** A gateway's port, when it has one of its own, and its namespace or path: `/chat `, `:8080/chat `; empty for the default ones. */
function placeOf(gateway: object): string {
  const options = Reflect.getMetadata(NEST_METADATA.gatewayOptions, gateway) as
    { readonly namespace?: unknown; readonly path?: unknown } | undefined;
  const port: unknown = Reflect.getMetadata(NEST_METADATA.gatewayPort, gateway);
  const path = pathOf(options?.namespace ?? options?.path);
  const place = `${typeof port === 'number' && port > 0 ? `:${port}` : ''}${path}`;
  return place === '' ? '' : `${place} `;
}

/** With its slash, or empty for the default place; a namespace may be a regular expression. */
function pathOf(given: unknown): string {
  if (given instanceof RegExp) return String(given);
  return typeof given === 'string' && given !== '/' && given !== '' ? `/${given.replace(/^\//, '')}` : '';
}
