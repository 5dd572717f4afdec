import 'reflect-metadata';
import type { ModulesContainer } from '@nestjs/core';
import { nameOf, type DecoratedMethod } from './decorated-methods.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { NEST_METADATA } from './tokens.js';

/** What may be known of an upload interceptor of Nest's, on Express and on Fastify. */
interface UploadInterceptor {
  readonly multer?: { readonly storage?: object };
  readonly options?: object;
  readonly adapterHost?: object;
}

/** Engines that leave a file where it can be read again. */
const READABLE = new Set(['MemoryStorage', 'DiskStorage']);

/**
 * Warns of routes whose uploads go by unseen, as far as their interceptors tell. What a handler or a middleware reads by
 * itself shows with the first request.
 */
export function warnOfStreamedUploads(
  runtime: IdempotencyRuntime,
  modules: ModulesContainer,
  methods: readonly DecoratedMethod[],
): void {
  for (const decorated of methods) {
    const plan = runtime.plans.get(decorated.metatype, decorated.method, 'http');
    // Whoever says what is compared knows what is not.
    if (plan === undefined || typeof plan.options.fingerprint === 'function') continue;
    if (plan.options.fingerprint === false) continue;
    const because = interceptorsOf(decorated, modules)
      .map(whyUnseen)
      .find((reason) => reason !== undefined);
    if (because !== undefined) runtime.uploads.warnOfStream(plan, nameOf(decorated), because);
  }
}

function interceptorsOf({ metatype, method }: DecoratedMethod, modules: ModulesContainer): unknown[] {
  const bound = [metatype, method].flatMap(
    (target) => (Reflect.getMetadata(NEST_METADATA.interceptors, target) as unknown[] | undefined) ?? [],
  );
  return bound.map((interceptor) => {
    if (typeof interceptor !== 'function') return interceptor;
    for (const { injectables } of modules.values()) {
      const instance: unknown = injectables.get(interceptor)?.instance;
      if (instance !== undefined) return instance;
    }
    return undefined;
  });
}

function whyUnseen(interceptor: unknown): string | undefined {
  if (typeof interceptor !== 'object' || interceptor === null) return undefined;
  const { multer, options, adapterHost }: UploadInterceptor = interceptor;
  const engine = multer?.storage?.constructor.name;
  if (engine !== undefined && !READABLE.has(engine)) {
    return `its files are stored by an engine of their own (\`${engine}\`), which may keep neither \`buffer\` nor \`path\``;
  }
  // Of Nest's interceptors on Fastify only `FileStreamInterceptor` has no storage.
  const isOfFastify = options !== undefined && adapterHost !== undefined;
  return isOfFastify && !('storage' in interceptor) ? 'its files are streamed to the handler' : undefined;
}
