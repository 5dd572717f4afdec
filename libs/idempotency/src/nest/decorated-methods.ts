import type { ModulesContainer } from '@nestjs/core';
import { entriesOf, methodsOf, type Entry } from './entries.js';
import type { Method } from './stand-in.js';

/** One decorated method as it is registered. */
export interface DecoratedMethod {
  readonly metatype: { readonly name: string };
  readonly name: string | symbol;
  readonly entry: Entry;
  /** The method as Nest reads its metadata: the stand-in, or what another decorator has put over it. */
  readonly method: Method;
  /** What Nest calls instead when the constructor has put another function over it, such as `this.create.bind(this)`. */
  readonly replacement: Method | undefined;
  readonly isController: boolean;
}

/** Every decorated method of an application, each once. */
export function decoratedMethods(modules: ModulesContainer): DecoratedMethod[] {
  const found = new Map<object, DecoratedMethod[]>();
  const collect = (wrapper: Wrapper, isController: boolean): void => {
    const metatype = classOf(wrapper);
    if (metatype === undefined || found.has(metatype)) return;
    const methods = methodsOf(metatype.prototype);
    const instance = wrapper.instance as Record<string | symbol, unknown> | undefined | null;
    const decorated = [...entriesOf(metatype.prototype)].flatMap(([name, entry]) => {
      const method = methods.get(name);
      if (method === undefined) return [];
      const called = instance?.[name];
      const replacement = typeof called === 'function' && called !== method ? (called as Method) : undefined;
      return [{ metatype, name, entry, method, replacement, isController }];
    });
    found.set(metatype, decorated);
  };
  // A class that is a controller somewhere may be a provider elsewhere: its routes are reached.
  for (const module of modules.values())
    for (const wrapper of module.controllers.values()) collect(wrapper, true);
  for (const module of modules.values())
    for (const wrapper of module.providers.values()) collect(wrapper, false);
  return [...found.values()].flat();
}

export function nameOf({ metatype, name }: Pick<DecoratedMethod, 'metatype' | 'name'>): string {
  return `${metatype.name}.${String(name)}`;
}

interface ClassLike {
  readonly name: string;
  readonly prototype: object;
}

interface Wrapper {
  readonly metatype?: unknown;
  readonly inject?: unknown;
  readonly instance?: unknown;
}

/** The class behind a registration; for a factory or a value that of what it made. */
function classOf({ metatype, inject, instance }: Wrapper): ClassLike | undefined {
  const isClass = typeof metatype === 'function' && !Array.isArray(inject);
  const found = isClass ? metatype : (instance as { constructor?: unknown } | null | undefined)?.constructor;
  if (typeof found !== 'function' || found === Object) return undefined;
  const { prototype } = found as { prototype?: unknown };
  return typeof prototype === 'object' && prototype !== null ? found : undefined;
}
