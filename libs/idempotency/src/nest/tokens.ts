/** Injection tokens and metadata keys. By name, so that two copies of this package still understand each other. */
export const IDEMPOTENCY_RUNTIME = Symbol.for('nestjs-idempotent:runtime');
export const ENTRIES_METADATA = 'nestjs-idempotent:entries';
export const SKIPPED_METADATA = 'nestjs-idempotent:skipped';

/** Metadata keys that Nest's own packages write; `@nestjs/common` does not export all of them in every version. */
export const NEST_METADATA = {
  method: 'method',
  path: 'path',
  sse: '__sse__',
  version: '__version__',
  pattern: 'microservices:pattern',
  patternExtras: 'microservices:pattern_extras',
  patternKind: 'microservices:handler_type',
  patternTransport: 'microservices:transport',
  websocketMessage: 'websockets:message_mapping',
  websocketEvent: 'message',
  gateway: 'websockets:is_gateway',
  gatewayOptions: 'websockets:gateway_options',
  gatewayPort: 'port',
  graphqlResolver: 'graphql:resolver_type',
  graphqlName: 'graphql:resolver_name',
  graphqlProperty: 'graphql:resolve_property',
  routeArguments: '__routeArguments__',
  responsePassthrough: '__responsePassthrough__',
  interceptors: '__interceptors__',
  host: 'host',
} as const;
