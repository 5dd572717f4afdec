import 'reflect-metadata';
import { RequestMethod, UseInterceptors } from '@nestjs/common';
import type { Duration } from '../../core/duration.js';
import { InvalidOptionsError } from '../../core/errors.js';
import { ownEntries } from '../entries.js';
import { IdempotencyInterceptor } from '../idempotency.interceptor.js';
import type { IdempotentOptions } from '../options.js';
import { standInFor, type Method } from '../stand-in.js';
import { NEST_METADATA, SKIPPED_METADATA } from '../tokens.js';

/** Routes that change something; the class decorator leaves the others alone. */
const CHANGING = new Set([
  RequestMethod.POST,
  RequestMethod.PUT,
  RequestMethod.PATCH,
  RequestMethod.DELETE,
  RequestMethod.ALL,
]);

/**
 * One effect and one answer per key. On a method, or on a class for all its POST, PUT, PATCH and DELETE routes,
 * inherited ones too; the method's options win over the class's, and both over the module's.
 *
 * @param options a ttl (a number is **seconds**, a string carries its unit), or {@link IdempotentOptions}
 * @example
 * ```ts
 * @Post()
 * @Idempotent('24h')
 * create(@Body() dto: CreateOrder) {}
 * ```
 */
export function Idempotent(options: Duration | IdempotentOptions = {}): MethodDecorator & ClassDecorator {
  const given: IdempotentOptions = typeof options === 'object' ? options : { ttl: options };
  return ((target: object, name?: string | symbol, descriptor?: PropertyDescriptor) => {
    if (name === undefined) return decorateClass(target as { prototype: object; name: string }, given);
    if (typeof descriptor?.value !== 'function') {
      throw new InvalidOptionsError(
        `@Idempotent() on ${target.constructor.name}.${String(name)}: only methods can be protected, and this is none.`,
      );
    }
    const standIn = bind(target, name, descriptor.value as Method);
    ownEntries(target).set(name, { standIn, options: [given], byClass: false });
    descriptor.value = standIn;
    return descriptor;
  }) as MethodDecorator & ClassDecorator;
}

/** Leaves one method of a class that is decorated with `@Idempotent()` alone. */
export function SkipIdempotency(): MethodDecorator {
  return (_target, _name, descriptor) => {
    Reflect.defineMetadata(SKIPPED_METADATA, true, descriptor.value as object);
  };
}

function decorateClass(target: { prototype: object; name: string }, options: IdempotentOptions): void {
  const { prototype } = target;
  const entries = ownEntries(prototype);
  for (const [name, method] of methodsOf(prototype)) {
    const own = entries.get(name);
    if (own !== undefined) {
      entries.set(name, { ...own, options: [options, ...own.options] });
    } else if (isCovered(method) && Reflect.getMetadata(SKIPPED_METADATA, method) !== true) {
      // Also an inherited route, which walking the class's own properties would miss: it gets a method of its own here.
      const value = bind(prototype, name, method);
      Object.defineProperty(prototype, name, {
        value,
        writable: true,
        configurable: true,
        enumerable: false,
      });
      entries.set(name, { standIn: value, options: [options], byClass: true });
    }
  }
}

function bind(prototype: object, name: string | symbol, method: Method): Method {
  const standIn = standInFor(method);
  // The global interceptor does not see everything (hybrid apps), so the decorator binds it too; it acts once.
  UseInterceptors(IdempotencyInterceptor)(prototype, name, { value: standIn });
  return standIn;
}

function isCovered(method: Method): boolean {
  const has = (key: string) => Reflect.hasMetadata(key, method);
  if (has(NEST_METADATA.pattern) || has(NEST_METADATA.websocketMessage)) return true;
  if (Reflect.getMetadata(NEST_METADATA.graphqlResolver, method) === 'Mutation') return true;
  const route = has(NEST_METADATA.path) && !has(NEST_METADATA.sse);
  return route && CHANGING.has(Reflect.getMetadata(NEST_METADATA.method, method) as RequestMethod);
}

function methodsOf(prototype: object): Map<string | symbol, Method> {
  const methods = new Map<string | symbol, Method>();
  for (
    let current = prototype;
    current !== Object.prototype;
    current = Object.getPrototypeOf(current) as object
  ) {
    for (const name of Reflect.ownKeys(current)) {
      const value: unknown = Object.getOwnPropertyDescriptor(current, name)?.value;
      if (name !== 'constructor' && typeof value === 'function' && !methods.has(name))
        methods.set(name, value as Method);
    }
  }
  return methods;
}
