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
  websocketMessage: 'websockets:message_mapping',
  graphqlResolver: 'graphql:resolver_type',
  routeArguments: '__routeArguments__',
  responsePassthrough: '__responsePassthrough__',
  interceptors: '__interceptors__',
  host: 'host',
} as const;
