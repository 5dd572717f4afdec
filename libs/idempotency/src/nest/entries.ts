import 'reflect-metadata';
import type { IdempotentOptions } from './options.js';
import type { Method } from './stand-in.js';
import { ENTRIES_METADATA } from './tokens.js';

/** What `@Idempotent()` left on a class about one of its methods. */
export interface Entry {
  readonly standIn: Method;
  /** Options of the class decorators, the base class's first. */
  readonly ofClasses: readonly IdempotentOptions[];
  /** Options of the method's own decorator; undefined when only a class decorator covers it. */
  readonly ofMethod: IdempotentOptions | undefined;
}

/** What the decorators say together: the derived class over the base class, the method over both. */
export function optionsOf({ ofClasses, ofMethod }: Entry): IdempotentOptions {
  return Object.assign({}, ...[...ofClasses, ofMethod ?? {}].map(given)) as IdempotentOptions;
}

/** The options that are really given: an explicit `undefined` overrides nothing. */
function given(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

type Entries = Map<string | symbol, Entry>;

/** The entries that belong to this prototype itself, to be changed. */
export function ownEntries(prototype: object): Entries {
  const existing = Reflect.getOwnMetadata(ENTRIES_METADATA, prototype) as Entries | undefined;
  if (existing !== undefined) return existing;
  const entries: Entries = new Map();
  Reflect.defineMetadata(ENTRIES_METADATA, entries, prototype);
  return entries;
}

/** Every decorated method of a prototype, inherited ones too; an override without the decorator is not one. */
export function entriesOf(prototype: object): Map<string | symbol, Entry> {
  const found = new Map<string | symbol, Entry | undefined>();
  for (const level of chainOf(prototype)) {
    const entries = Reflect.getOwnMetadata(ENTRIES_METADATA, level) as Entries | undefined;
    for (const name of new Set([...(entries?.keys() ?? []), ...Reflect.ownKeys(level)])) {
      if (!found.has(name)) found.set(name, entries?.get(name));
    }
  }
  return new Map([...found].filter((item): item is [string | symbol, Entry] => item[1] !== undefined));
}

/** Every method of a prototype, the derived class's first. */
export function methodsOf(prototype: object): Map<string | symbol, Method> {
  const methods = new Map<string | symbol, Method>();
  for (const level of chainOf(prototype)) {
    for (const name of Reflect.ownKeys(level)) {
      const value: unknown = Object.getOwnPropertyDescriptor(level, name)?.value;
      if (name !== 'constructor' && typeof value === 'function' && !methods.has(name)) {
        methods.set(name, value as Method);
      }
    }
  }
  return methods;
}

function* chainOf(prototype: object): Generator<object> {
  let level: object | null = prototype;
  while (level !== null && level !== Object.prototype) {
    yield level;
    level = Object.getPrototypeOf(level) as object | null;
  }
}
