import { TAG, TAGGED, type KnownClasses } from './carried-value-format.js';
import { RecordUnreadableError } from './errors.js';
import { decodeValue } from './plain-value.js';

/**
 * The value that `carryValue` wrote, made anew each time. Classes get their prototype and their members; no constructor runs.
 *
 * @throws RecordUnreadableError when the bytes are not what `carryValue` writes, or name a class that is gone
 */
export function carriedValue(bytes: Uint8Array, classes: KnownClasses): unknown {
  if (bytes[0] !== TAGGED) return decodeValue(bytes);
  const json = decodeValue(bytes.subarray(1));
  try {
    return new Reader(classes).read(json);
  } catch (error) {
    if (error instanceof RecordUnreadableError) throw error;
    throw new RecordUnreadableError('its value is malformed', { cause: error });
  }
}

class Reader {
  /** In the order in which the writer met them. */
  private readonly met: unknown[] = [];

  constructor(private readonly classes: KnownClasses) {}

  read(json: unknown): unknown {
    if (typeof json !== 'object' || json === null) return json;
    if (Array.isArray(json)) {
      const items: unknown[] = this.meet([]);
      for (const item of json) items.push(this.read(item));
      return items;
    }
    const tag = (json as Record<string, unknown>)[TAG];
    if (tag === undefined) return this.fill(this.meet({}), Object.entries(json));
    if (!Array.isArray(tag)) throw malformed();
    return this.readTagged(tag as unknown[]);
  }

  private readTagged([kind, first, second]: readonly unknown[]): unknown {
    switch (kind) {
      case 'undefined':
        return undefined;
      case 'number':
        return oddNumber(first);
      case 'bigint':
        return BigInt(text(first));
      case 'ref':
        if (typeof first !== 'number' || !(first in this.met)) throw malformed();
        return this.met[first];
      case 'date':
        return this.meet(new Date(time(first)));
      case 'buffer':
        return this.meet(Buffer.from(text(first), 'base64'));
      case 'bytes':
        return this.meet(new Uint8Array(Buffer.from(text(first), 'base64')));
      case 'map': {
        const map = this.meet(new Map<unknown, unknown>());
        for (const [key, value] of pairs(first)) map.set(this.read(key), this.read(value));
        return map;
      }
      case 'set': {
        const set = this.meet(new Set<unknown>());
        for (const item of first as unknown[]) set.add(this.read(item));
        return set;
      }
      case 'entries':
        return this.fill(this.meet({}), pairs(first));
      case 'class':
        return this.fill(this.meet(this.instanceOf(text(first))), pairs(second));
      default:
        throw malformed();
    }
  }

  private instanceOf(name: string): object {
    const prototype = this.classes.prototypeOf(name);
    if (prototype !== undefined) return Object.create(prototype) as object;
    // From the storage: only what a class may be called goes into a log.
    throw new RecordUnreadableError(
      /^[\p{L}\p{N}_$:]{1,80}$/u.test(name)
        ? `it holds an instance of \`${name}\`, a class that this application does not know`
        : 'it holds an instance of a class whose name is malformed',
    );
  }

  /** Defined, not assigned: neither a setter of the class nor `__proto__` gets to see them. */
  private fill(target: object, members: readonly (readonly [unknown, unknown])[]): object {
    for (const [key, value] of members) {
      const property = { value: this.read(value), writable: true, enumerable: true, configurable: true };
      Object.defineProperty(target, text(key), property);
    }
    return target;
  }

  private meet<T>(object: T): T {
    this.met.push(object);
    return object;
  }
}

function pairs(list: unknown): readonly (readonly [unknown, unknown])[] {
  if (!Array.isArray(list) || !list.every((pair) => Array.isArray(pair) && pair.length === 2))
    throw malformed();
  return list as (readonly [unknown, unknown])[];
}

/** What JSON holds there may be anything: a list or an object in its place would be taken for something else. */
function text(given: unknown): string {
  if (typeof given !== 'string') throw malformed();
  return given;
}

function time(given: unknown): number {
  if (given === null) return Number.NaN;
  if (typeof given !== 'number') throw malformed();
  return given;
}

function oddNumber(given: unknown): number {
  const found = ODD_NUMBERS.find((odd) => (Object.is(odd, -0) ? '-0' : String(odd)) === given);
  if (found === undefined) throw malformed();
  return found;
}

const ODD_NUMBERS: readonly number[] = [Number.NaN, Infinity, -Infinity, -0];

function malformed(): RecordUnreadableError {
  return new RecordUnreadableError('its value is malformed');
}
