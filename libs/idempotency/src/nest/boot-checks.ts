import 'reflect-metadata';
import type { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import type { IdempotencyStorage } from '../core/idempotency-storage.js';
import { nameOf, type DecoratedMethod } from './decorated-methods.js';
import { noOperation, PARAMETER_DECORATORS } from './decorators/operation-parameters.decorator.js';
import { entriesOf, methodsOf, optionsOf } from './entries.js';
import { IdempotencyInterceptor } from './idempotency.interceptor.js';
import { isNamedKeySource, type KeySource } from './key-sources.js';
import type { IdempotencyModuleOptions, IdempotentOptions, OperationOptions } from './options.js';
import { checkDecoratorOptionNames } from './resolve-options.js';
import { NEST_METADATA, SKIPPED_METADATA } from './tokens.js';

/** @throws InvalidOptionsError for a decorated method that would not be protected, or not as it says */
export function checkMethod(
  decorated: DecoratedMethod,
  module: IdempotencyModuleOptions,
  storage: IdempotencyStorage,
): void {
  const { method, entry, isController } = decorated;
  const where = `@Idempotent() on ${nameOf(decorated)}`;
  for (const given of [...entry.ofClasses, entry.ofMethod ?? {}]) checkDecoratorOptionNames(where, given);
  const options = optionsOf(entry);
  const has = (key: string) => Reflect.hasMetadata(key, method);
  if (Reflect.getMetadata(SKIPPED_METADATA, method) === true) {
    throw new InvalidOptionsError(`${where} also has @SkipIdempotency(). Remove one of them.`);
  }
  if (has(NEST_METADATA.sse)) {
    throw new InvalidOptionsError(
      `${where}: an @Sse() stream has no end that could be recorded. Remove @Idempotent(), and let clients resume by \`Last-Event-ID\`.`,
    );
  }
  if (Reflect.getMetadata(NEST_METADATA.graphqlResolver, method) === 'Subscription') {
    throw new InvalidOptionsError(
      `${where}: a subscription has no single answer that could be recorded. Remove @Idempotent().`,
    );
  }
  const isMessage =
    has(NEST_METADATA.pattern) || has(NEST_METADATA.websocketMessage) || has(NEST_METADATA.graphqlResolver);
  if (isMessage) refuseMessage(where, options);
  if (!isController || !has(NEST_METADATA.path)) {
    throw new InvalidOptionsError(
      `${where}: no interceptor reaches this method, because it is not a route of a controller, so nothing would be protected. Move @Idempotent() to the route, or call IdempotencyService.run() in it.`,
    );
  }
  checkBound(where, decorated, module);
  checkRouteKeys(where, options, module);
  if (options.transactional !== undefined && options.transactional !== false) {
    throw new InvalidOptionsError(
      `${where}: \`transactional\` needs a storage that can commit the record with the handler's writes, and \`${storage.name}\` cannot do that in this version. Remove it, and let a unique constraint be the second line of defence.`,
    );
  }
}

/** @throws InvalidOptionsError for a route that asks for an operation and has none */
export function checkParameters(modules: ModulesContainer): void {
  for (const { controllers } of modules.values()) {
    for (const { metatype } of controllers.values()) {
      if (typeof metatype !== 'function') continue;
      const { prototype } = metatype as { prototype: object };
      const entries = entriesOf(prototype);
      for (const [name, method] of methodsOf(prototype)) {
        if (entries.has(name) || !Reflect.hasMetadata(NEST_METADATA.path, method)) continue;
        const parameters = Reflect.getMetadata(NEST_METADATA.routeArguments, metatype, name) as
          object | undefined;
        for (const { factory } of Object.values(parameters ?? {}) as { factory?: unknown }[]) {
          const ours = PARAMETER_DECORATORS.get(factory);
          if (ours !== undefined) throw noOperation(ours, ` on ${nameOf({ metatype, name })}`);
        }
      }
    }
  }
}

function keysOf({ key }: OperationOptions): readonly (KeySource | undefined)[] {
  return (Array.isArray(key) ? key : [key]) as readonly (KeySource | undefined)[];
}

/** A list of the module may hold keys of messages for consumers; a route's own may not, and neither may be all there is. */
function checkRouteKeys(where: string, options: IdempotentOptions, module: IdempotencyModuleOptions): void {
  const isMessageKey = (source: unknown) => isNamedKeySource(source) && source.from === 'message';
  const keys = keysOf(options.key === undefined ? module : options);
  const foreign =
    options.key === undefined && !keys.every(isMessageKey) ? undefined : keys.find(isMessageKey);
  if (!isNamedKeySource(foreign)) return;
  throw new InvalidOptionsError(
    `${where}: messageKey('${foreign.name}') reads a message, and this is a route. Use bodyKey('${foreign.name}').`,
  );
}

/** Without the global interceptor all hangs on the one that the decorator binds, which is metadata of the function. */
function checkBound(
  where: string,
  { method, replacement }: DecoratedMethod,
  module: IdempotencyModuleOptions,
): void {
  if (module.interceptor !== 'decorated') return;
  const bound = Reflect.getMetadata(NEST_METADATA.interceptors, replacement ?? method) as
    unknown[] | undefined;
  if (bound?.includes(IdempotencyInterceptor)) return;
  throw new InvalidOptionsError(
    `${where}: another decorator, or the constructor, has put a function over this method without copying its metadata, and with \`interceptor: 'decorated'\` nothing else protects it. Write @Idempotent() above that decorator, or remove \`interceptor\` from the options of IdempotencyModule.`,
  );
}

function refuseMessage(where: string, options: IdempotentOptions): never {
  const http = keysOf(options).find(
    (source) => isNamedKeySource(source) && source.from !== 'message' && source.from !== 'header',
  );
  if (isNamedKeySource(http)) {
    throw new InvalidOptionsError(
      `${where}: ${http.from}Key('${http.name}') reads an HTTP request, and this is a message handler. Use messageKey('${http.name}').`,
    );
  }
  throw new InvalidOptionsError(
    `${where}: this version protects HTTP routes only, so this handler would run on every delivery. Remove @Idempotent(), and call IdempotencyService.run() in it.`,
  );
}
