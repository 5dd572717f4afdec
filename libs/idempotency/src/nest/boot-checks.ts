import 'reflect-metadata';
import type { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import type { IdempotencyStorage } from '../core/idempotency-storage.js';
import { entriesOf, type Entry } from './entries.js';
import { isNamedKeySource, type KeySource } from './key-sources.js';
import type { IdempotencyModuleOptions, IdempotentOptions } from './options.js';
import type { Method } from './stand-in.js';
import { NEST_METADATA, SKIPPED_METADATA } from './tokens.js';

/** One decorated method as it is registered. */
export interface DecoratedMethod {
  readonly metatype: { readonly name: string };
  readonly name: string | symbol;
  readonly entry: Entry;
  readonly method: Method;
  readonly isController: boolean;
}

/** Every decorated method of an application, each once. */
export function decoratedMethods(modules: ModulesContainer): DecoratedMethod[] {
  const found = new Map<object, DecoratedMethod[]>();
  for (const module of modules.values()) {
    for (const [wrappers, isController] of [
      [module.controllers, true],
      [module.providers, false],
    ] as const) {
      for (const { metatype } of wrappers.values()) {
        if (typeof metatype !== 'function' || found.has(metatype)) continue;
        const methods = entriesOf(metatype).map((item) => ({ ...item, metatype, isController }));
        if (methods.length > 0) found.set(metatype, methods);
      }
    }
  }
  return [...found.values()].flat();
}

export function missingModule(modules: ModulesContainer | undefined): InvalidOptionsError {
  const [first] = modules === undefined ? [] : decoratedMethods(modules);
  const where = first ? ` on ${nameOf(first)}` : '';
  return new InvalidOptionsError(
    `@Idempotent()${where} has no storage. Add IdempotencyModule.forRoot({ storage: redisStorage({ url }) }) to AppModule.`,
  );
}

/** @throws InvalidOptionsError when records of several apps could meet, or would be lost with the process */
export function checkStorage(options: IdempotencyModuleOptions, environment: string | undefined): void {
  const { storage, namespace } = options;
  if (storage === undefined) {
    if (environment !== 'production') return;
    throw new InvalidOptionsError(
      'IdempotencyModule has no `storage`, and NODE_ENV is production: records would live in one process and die with it, so a retry after a restart would run again. Add `storage: redisStorage({ url })` or `typeOrmStorage()`; memoryStorage() said outright is accepted.',
    );
  }
  if (!isStorage(storage)) {
    throw new InvalidOptionsError(
      'IdempotencyModule: `storage` is not a storage. Call the function: `storage: redisStorage({ url })`, `typeOrmStorage()` or `memoryStorage()`.',
    );
  }
  if (
    namespace !== undefined &&
    (typeof namespace !== 'string' || !/^[A-Za-z0-9._:-]{1,64}$/.test(namespace))
  ) {
    throw new InvalidOptionsError(
      'IdempotencyModule: `namespace` must be 1 to 64 letters, digits, dots, dashes, colons or underscores: it is the first part of every record id.',
    );
  }
  if (storage.shared && namespace === undefined && environment !== 'test') {
    throw new InvalidOptionsError(
      `IdempotencyModule has no \`namespace\`, and the storage \`${storage.name}\` may be shared: two apps with equal routes would answer each other's keys. Add a name for this app, such as \`namespace: 'shop'\`.`,
    );
  }
}

function isStorage(value: unknown): value is IdempotencyStorage {
  if (typeof value !== 'object' || value === null) return false;
  const methods = [
    'claim',
    'renew',
    'complete',
    'release',
    'saveStep',
    'get',
    'forget',
    'find',
    'purgeExpired',
  ];
  return methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');
}

/** @throws InvalidOptionsError for a decorated method that would not be protected, or not as it says */
export function checkMethod(decorated: DecoratedMethod, storage: IdempotencyStorage): void {
  const { method, entry, isController } = decorated;
  const where = `@Idempotent() on ${nameOf(decorated)}`;
  const has = (key: string) => Reflect.hasMetadata(key, method);
  const options: IdempotentOptions = Object.assign({}, ...entry.options) as IdempotentOptions;
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
  if (isMessage) checkMessage(where, options);
  if (!isController || !has(NEST_METADATA.path)) {
    throw new InvalidOptionsError(
      `${where}: no interceptor reaches this method, because it is not a route of a controller, so nothing would be protected. Move @Idempotent() to the route, or call IdempotencyService.run() in it.`,
    );
  }
  if (options.transactional !== undefined && options.transactional !== false) {
    throw new InvalidOptionsError(
      `${where}: \`transactional\` needs a storage that can commit the record with the handler's writes, and \`${storage.name}\` cannot do that in this version. Remove it, and let a unique constraint be the second line of defence.`,
    );
  }
}

function checkMessage(where: string, options: IdempotentOptions): void {
  const keys = (Array.isArray(options.key) ? options.key : [options.key]) as readonly (
    KeySource | undefined
  )[];
  const http = keys.find(
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

/** @throws InvalidOptionsError when two routes would share their records */
export function checkOperationNames(methods: readonly DecoratedMethod[]): void {
  const seen = new Map<string, DecoratedMethod>();
  for (const decorated of methods) {
    const { operation } = Object.assign({}, ...decorated.entry.options) as IdempotentOptions;
    if (operation === undefined) continue;
    const other = seen.get(operation);
    if (other !== undefined) {
      throw new InvalidOptionsError(
        `@Idempotent(): ${nameOf(other)} and ${nameOf(decorated)} have the same \`operation\` '${operation}', so one's key would replay the other's answer. Give each a name of its own.`,
      );
    }
    seen.set(operation, decorated);
  }
}

export function nameOf({ metatype, name }: Pick<DecoratedMethod, 'metatype' | 'name'>): string {
  return `${metatype.name}.${String(name)}`;
}
