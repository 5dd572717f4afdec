import 'reflect-metadata';
import type { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import type { IdempotencyStorage } from '../core/idempotency-storage.js';
import { nameOf, type DecoratedMethod } from './decorated-methods.js';
import { noOperation, PARAMETER_DECORATORS } from './decorators/operation-parameters.decorator.js';
import { entriesOf, methodsOf, optionsOf } from './entries.js';
import { IdempotencyInterceptor } from './idempotency.interceptor.js';
import { checkKeys } from './key-checks.js';
import type { IdempotencyModuleOptions } from './options.js';
import { checkDecoratorOptionNames } from './resolve-options.js';
import { NEST_METADATA, SKIPPED_METADATA } from './tokens.js';
import { transportsOf, type Transport } from './transports.js';

/** What a check may ask of the application. */
export interface Application {
  readonly options: IdempotencyModuleOptions;
  readonly storage: IdempotencyStorage;
  /** The provider of this name, wherever it is; undefined when there is none. */
  find(token: string): unknown;
}

/**
 * @returns how the method is reached
 * @throws InvalidOptionsError for a decorated method that would not be protected, or not as it says
 */
export function checkMethod(decorated: DecoratedMethod, app: Application): readonly Transport[] {
  const { method, entry } = decorated;
  const where = `@Idempotent() on ${nameOf(decorated)}`;
  for (const given of [...entry.ofClasses, entry.ofMethod ?? {}]) checkDecoratorOptionNames(where, given);
  const options = optionsOf(entry);
  if (Reflect.getMetadata(SKIPPED_METADATA, method) === true) {
    throw new InvalidOptionsError(`${where} also has @SkipIdempotency(). Remove one of them.`);
  }
  refuseStreams(where, decorated);
  const transports = transportsOf(decorated);
  if (transports.length === 0) throw unreached(where);
  refuseUnboundFields(where, decorated, transports, app);
  checkBound(where, decorated, transports, app.options);
  checkKeys(where, decorated, transports, options, app.options);
  return transports;
}

/** @throws InvalidOptionsError for a handler that asks for an operation and has none */
export function checkParameters(modules: ModulesContainer): void {
  for (const { controllers, providers } of modules.values()) {
    for (const { metatype } of [...controllers.values(), ...providers.values()]) {
      if (typeof metatype !== 'function') continue;
      const { prototype } = metatype as { prototype?: unknown };
      if (typeof prototype === 'object' && prototype !== null) checkParametersOf(metatype, prototype);
    }
  }
}

const HANDLER_SIGNS = [
  NEST_METADATA.path,
  NEST_METADATA.pattern,
  NEST_METADATA.websocketMessage,
  NEST_METADATA.graphqlResolver,
  NEST_METADATA.graphqlProperty,
];

function checkParametersOf(metatype: { readonly name: string }, prototype: object): void {
  const entries = entriesOf(prototype);
  for (const [name, method] of methodsOf(prototype)) {
    if (entries.has(name) || !HANDLER_SIGNS.some((sign) => Reflect.hasMetadata(sign, method))) continue;
    const parameters = Reflect.getMetadata(NEST_METADATA.routeArguments, metatype, name) as
      object | undefined;
    for (const { factory } of Object.values(parameters ?? {}) as { factory?: unknown }[]) {
      const ours = PARAMETER_DECORATORS.get(factory);
      if (ours !== undefined) throw noOperation(ours, ` on ${nameOf({ metatype, name })}`);
    }
  }
}

function unreached(where: string): InvalidOptionsError {
  return new InvalidOptionsError(
    `${where}: no interceptor reaches this method, because it is neither a route or a message handler of a controller, nor a message of a gateway, nor a field of a resolver, so nothing would be protected. Move @Idempotent() to the route, or call IdempotencyService.run() in it.`,
  );
}

/** What has no single answer. */
function refuseStreams(where: string, { method }: DecoratedMethod): void {
  if (Reflect.hasMetadata(NEST_METADATA.sse, method)) {
    throw new InvalidOptionsError(
      `${where}: an @Sse() stream has no end that could be recorded. Remove @Idempotent(), and let clients resume by \`Last-Event-ID\`.`,
    );
  }
  if (Reflect.getMetadata(NEST_METADATA.graphqlResolver, method) === 'Subscription') {
    throw new InvalidOptionsError(
      `${where}: a subscription has no single answer that could be recorded. Remove @Idempotent().`,
    );
  }
  const patterns: unknown = Reflect.getMetadata(NEST_METADATA.pattern, method);
  const streaming = (Array.isArray(patterns) ? (patterns as unknown[]) : [])
    .map((pattern) => (pattern as { streaming?: unknown } | null | undefined)?.streaming)
    .find((kind) => typeof kind === 'string' && kind !== 'no_stream');
  if (streaming !== undefined) {
    throw new InvalidOptionsError(
      `${where}: a gRPC stream of requests has no single key and no single answer. Remove @Idempotent(), or give each of its messages to IdempotencyService.run().`,
    );
  }
}

/** Nest calls interceptors for fields of objects only when it is told to. */
function refuseUnboundFields(
  where: string,
  { method }: DecoratedMethod,
  transports: readonly Transport[],
  app: Application,
): void {
  if (
    !transports.includes('graphql') ||
    Reflect.getMetadata(NEST_METADATA.graphqlProperty, method) !== true
  ) {
    return;
  }
  const { fieldResolverEnhancers } = (app.find('GqlModuleOptions') ?? {}) as {
    fieldResolverEnhancers?: unknown;
  };
  if (Array.isArray(fieldResolverEnhancers) && fieldResolverEnhancers.includes('interceptors')) return;
  throw new InvalidOptionsError(
    `${where}: no interceptor reaches a @ResolveField() by default, so nothing would be protected. Add \`fieldResolverEnhancers: ['interceptors']\` to the options of GraphQLModule, or move @Idempotent() to the mutation.`,
  );
}

/**
 * Without the global interceptor all hangs on the one that the decorator binds, which is metadata of the function. The messages of
 * a hybrid app that does not inherit its config never meet the global one.
 */
function checkBound(
  where: string,
  { method, replacement }: DecoratedMethod,
  transports: readonly Transport[],
  module: IdempotencyModuleOptions,
): void {
  const byDecorator = module.interceptor === 'decorated';
  if (!byDecorator && !transports.includes('rpc')) return;
  const bound = Reflect.getMetadata(NEST_METADATA.interceptors, replacement ?? method) as
    unknown[] | undefined;
  if (bound?.includes(IdempotencyInterceptor)) return;
  const [why, mend] = byDecorator
    ? [
        "with `interceptor: 'decorated'` nothing else protects it",
        ', or remove `interceptor` from the options of IdempotencyModule',
      ]
    : ['a hybrid application has no other interceptor for its messages', ''];
  throw new InvalidOptionsError(
    `${where}: another decorator, or the constructor, has put a function over this method without copying its metadata, and ${why}. Write @Idempotent() above that decorator${mend}.`,
  );
}
