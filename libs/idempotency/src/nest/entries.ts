import 'reflect-metadata';
import type { IdempotentOptions } from './options.js';
import type { Method } from './stand-in.js';
import { ENTRIES_METADATA } from './tokens.js';

/** What `@Idempotent()` left on a class about one of its methods. */
export interface Entry {
  readonly standIn: Method;
  /** Options of the class decorator, then of the method's own; the later win. */
  readonly options: readonly IdempotentOptions[];
  /** Covered by the class decorator alone. */
  readonly byClass: boolean;
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

/** Every decorated method of a class, inherited ones too; an override without the decorator is not one. */
export function entriesOf(metatype: object): { name: string | symbol; entry: Entry; method: Method }[] {
  const found = new Map<
    string | symbol,
    { name: string | symbol; entry: Entry; method: Method } | undefined
  >();
  let prototype = (metatype as { prototype?: object }).prototype;
  while (prototype !== undefined && prototype !== null && prototype !== Object.prototype) {
    const entries = Reflect.getOwnMetadata(ENTRIES_METADATA, prototype) as Entries | undefined;
    for (const name of Reflect.ownKeys(prototype)) {
      if (typeof name !== 'string' && typeof name !== 'symbol') continue;
      const entry = entries?.get(name);
      const method = entry && (Object.getOwnPropertyDescriptor(prototype, name)?.value as Method);
      if (!found.has(name)) found.set(name, entry && method && { name, entry, method });
    }
    prototype = Object.getPrototypeOf(prototype) as object | undefined;
  }
  return [...found.values()].filter((item) => item !== undefined);
}
