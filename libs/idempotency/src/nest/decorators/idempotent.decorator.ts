import 'reflect-metadata';
import { RequestMethod, UseInterceptors } from '@nestjs/common';
import type { Duration } from '../../core/duration.js';
import { InvalidOptionsError } from '../../core/errors.js';
import { entriesOf, methodsOf, ownEntries } from '../entries.js';
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
 * One effect and one answer per key. On a method, or on a class for all its POST, PUT, PATCH and DELETE routes, message
 * handlers and mutations, inherited ones too; the method's options win over the class's, and both over the module's.
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
  return (target: object, name?: string | symbol, descriptor?: PropertyDescriptor) => {
    if (name === undefined) decorateClass((target as { prototype: object }).prototype, given);
    else decorateMethod(target, name, descriptor, given);
  };
}

/** Leaves one method of a class that is decorated with `@Idempotent()` alone. */
export function SkipIdempotency(): MethodDecorator {
  return (_target, _name, descriptor) => {
    Reflect.defineMetadata(SKIPPED_METADATA, true, descriptor.value as object);
  };
}

function decorateMethod(
  target: object,
  name: string | symbol,
  descriptor: PropertyDescriptor | undefined,
  options: IdempotentOptions,
): void {
  const isStatic = typeof target === 'function';
  const where = `@Idempotent() on ${isStatic ? (target as { name: string }).name : target.constructor.name}.${String(name)}`;
  if (isStatic || typeof descriptor?.value !== 'function') {
    const what = isStatic ? 'a static member' : 'not a method';
    throw new InvalidOptionsError(
      `${where}: it is ${what}, so no route leads to it. Decorate the method of the route.`,
    );
  }
  const entries = ownEntries(target);
  if (entries.has(name)) {
    throw new InvalidOptionsError(
      `${where} stands there twice, and one of them would do nothing. Merge their options.`,
    );
  }
  const standIn = bind(target, name, descriptor.value as Method);
  entries.set(name, { standIn, ofClasses: [], ofMethod: options });
  descriptor.value = standIn;
}

function decorateClass(prototype: object, options: IdempotentOptions): void {
  const inherited = entriesOf(prototype);
  const entries = ownEntries(prototype);
  for (const [name, method] of methodsOf(prototype)) {
    const known = inherited.get(name);
    if (known !== undefined) {
      entries.set(name, { ...known, ofClasses: [...known.ofClasses, options] });
    } else if (isCovered(method) && Reflect.getMetadata(SKIPPED_METADATA, method) !== true) {
      // Also an inherited route, which walking the class's own properties would miss: it gets a method of its own here.
      const value = bind(prototype, name, method);
      Object.defineProperty(prototype, name, {
        value,
        writable: true,
        configurable: true,
        enumerable: false,
      });
      entries.set(name, { standIn: value, ofClasses: [options], ofMethod: undefined });
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
