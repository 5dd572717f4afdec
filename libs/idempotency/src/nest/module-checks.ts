import type { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import type { IdempotencyStorage } from '../core/idempotency-storage.js';
import type { IdempotencyModuleOptions } from './options.js';
import { checkModuleOptionNames } from './resolve-options.js';

/** @throws InvalidOptionsError for options of the module that cannot be what was meant */
export function checkModuleOptions(
  options: IdempotencyModuleOptions | undefined,
  environment: string | undefined,
): asserts options is IdempotencyModuleOptions {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidOptionsError(
      'IdempotencyModule has no options. Import `IdempotencyModule.forRoot({ storage })` in the root module alone, and never the bare class: it is global. A `useFactory` must return the options.',
    );
  }
  checkModuleOptionNames(options);
  checkStorage(options, environment);
  checkNamespace(options, environment);
  const { interceptor, docsUrl } = options;
  if (interceptor !== undefined && interceptor !== 'global' && interceptor !== 'decorated') {
    throw new InvalidOptionsError(
      `IdempotencyModule: \`interceptor\` is '${String(interceptor)}'; it must be 'global' or 'decorated'.`,
    );
  }
  // It goes into a header, where a space or a quote would break the answer to come.
  if (docsUrl !== undefined && (typeof docsUrl !== 'string' || !/^[!#-;=?-[\]_a-z~%]+$/i.test(docsUrl))) {
    throw new InvalidOptionsError(
      'IdempotencyModule: `docsUrl` must be a URL, such as `https://docs.example.com/errors`: it is the `type` and the `Link` of every problem.',
    );
  }
}

/** @throws InvalidOptionsError when two modules would both claim every request */
export function checkImportedOnce(modules: ModulesContainer, module: unknown): void {
  const copies = [...modules.values()].filter(({ metatype }) => metatype === module);
  if (copies.length > 1) {
    throw new InvalidOptionsError(
      'IdempotencyModule.forRoot() is imported more than once, so there would be two storages and two sets of options. Import it in the root module alone; it is global.',
    );
  }
}

function checkStorage({ storage }: IdempotencyModuleOptions, environment: string | undefined): void {
  if (storage === undefined && environment === 'production') {
    throw new InvalidOptionsError(
      'IdempotencyModule has no `storage`, and NODE_ENV is production: records would live in one process and die with it, so a retry after a restart would run again. Add `storage: redisStorage({ url })` or `typeOrmStorage()`; memoryStorage() said outright is accepted.',
    );
  }
  if (storage !== undefined && !isStorage(storage)) {
    throw new InvalidOptionsError(
      'IdempotencyModule: `storage` is not a storage. Call the function: `storage: redisStorage({ url })`, `typeOrmStorage()` or `memoryStorage()`.',
    );
  }
}

function checkNamespace(
  { storage, namespace }: IdempotencyModuleOptions,
  environment: string | undefined,
): void {
  if (
    namespace !== undefined &&
    (typeof namespace !== 'string' || !/^[A-Za-z0-9._:-]{1,64}$/.test(namespace))
  ) {
    throw new InvalidOptionsError(
      'IdempotencyModule: `namespace` must be 1 to 64 letters, digits, dots, dashes, colons or underscores: it is the first part of every record id.',
    );
  }
  if (storage?.shared && namespace === undefined && environment !== 'test') {
    throw new InvalidOptionsError(
      `IdempotencyModule has no \`namespace\`, and the storage \`${storage.name}\` may be shared: two apps with equal routes would answer each other's keys. Add a name for this app, such as \`namespace: 'shop'\`.`,
    );
  }
}

const STORAGE_METHODS = [
  'claim',
  'renew',
  'complete',
  'release',
  'saveStep',
  'get',
  'forget',
  'find',
  'purgeExpired',
] as const satisfies readonly (keyof IdempotencyStorage)[];

function isStorage(value: unknown): value is IdempotencyStorage {
  if (typeof value !== 'object' || value === null) return false;
  return STORAGE_METHODS.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');
}
