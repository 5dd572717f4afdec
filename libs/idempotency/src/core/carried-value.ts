import { types } from 'node:util';
import { TAG, TAGGED, type KnownClasses, type Tagged } from './carried-value-format.js';
import { behaviourOf, classOf, hidesState } from './class-facts.js';
import { encodeValue } from './plain-value.js';

export type CarriedValue =
  | {
      readonly kind: 'carried';
      readonly bytes: Uint8Array;
      /** A class of data alone that nobody knows, whose instance became plain data. */
      readonly lostClass?: string;
    }
  /** It would not come back as it was; `reason` says what of it, and never what it holds. */
  | { readonly kind: 'refused'; readonly reason: string };

/** Deeper values are somebody's mistake, and a danger to the stack. */
const MAX_DEPTH = 200;

/**
 * A value as bytes that give it back as it was: dates, maps, sets, bytes, bigints, and instances of known classes with
 * their getters and methods; also with members that point back at it. A class that nobody knows becomes plain data, unless it has
 * behaviour that would be missed.
 */
export function carryValue(value: unknown, classes: KnownClasses): CarriedValue {
  const plain = encodeValue(value);
  if (plain !== undefined) return { kind: 'carried', bytes: plain };
  try {
    const writer = new Writer(classes);
    const text = JSON.stringify(writer.write(value, '', 0));
    const bytes = Buffer.concat([Buffer.from([TAGGED]), Buffer.from(text, 'utf8')]);
    const { lostClass } = writer;
    return { kind: 'carried', bytes, ...(lostClass === undefined ? {} : { lostClass }) };
  } catch (error) {
    if (error instanceof Refused) return { kind: 'refused', reason: error.message };
    // A getter or a proxy of the user's that throws.
    return { kind: 'refused', reason: 'reading it threw an error' };
  }
}

/** The value cannot be carried. */
class Refused extends Error {
  constructor(path: string, what: string) {
    super(`${path === '' ? 'it' : `\`${path}\``} ${what}`);
  }
}

class Writer {
  /** In the order in which they are met; the reader meets them in the same order. */
  private readonly seen = new Map<object, number>();
  lostClass: string | undefined;

  constructor(private readonly classes: KnownClasses) {}

  write(value: unknown, path: string, depth: number): unknown {
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (value === undefined) return tagged(['undefined']);
    if (typeof value === 'bigint') return tagged(['bigint', String(value)]);
    if (typeof value === 'number') {
      const plain = Number.isFinite(value) && !Object.is(value, -0);
      return plain ? value : tagged(['number', Object.is(value, -0) ? '-0' : String(value)]);
    }
    if (typeof value !== 'object') throw new Refused(path, `is a ${typeof value}`);
    if (depth > MAX_DEPTH) throw new Refused('', `is nested deeper than ${MAX_DEPTH} levels`);
    const index = this.seen.get(value);
    if (index !== undefined) return tagged(['ref', index]);
    this.seen.set(value, this.seen.size);
    return this.writeObject(value, path, depth + 1);
  }

  private writeObject(value: object, path: string, depth: number): unknown {
    if (types.isProxy(value)) throw new Refused(path, 'is a Proxy');
    if (types.isPromise(value)) throw new Refused(path, 'is a promise; await it');
    if (Array.isArray(value)) {
      if (classOf(value).name !== 'Array') throw new Refused(path, `is a ${classOf(value).name}`);
      return Array.from(value as unknown[], (item, at) => this.write(item, member(path, String(at)), depth));
    }
    const builtin = this.writeBuiltin(value, path, depth);
    return builtin === undefined ? this.writeMembers(value, path, depth) : tagged(builtin);
  }

  private writeBuiltin(value: object, path: string, depth: number): Tagged | undefined {
    const base = classOf(value);
    if (types.isDate(value) && base.native) {
      const time = value.getTime();
      return ['date', Number.isNaN(time) ? null : time];
    }
    if (types.isMap(value) && base.native) {
      const pairs = [...value];
      return [
        'map',
        pairs.map(([k, v]) => [this.write(k, path, depth), this.write(v, path, depth)] as const),
      ];
    }
    if (types.isSet(value) && base.native) {
      return ['set', [...value].map((item) => this.write(item, path, depth))];
    }
    if (Buffer.isBuffer(value)) return ['buffer', value.toString('base64')];
    if (types.isUint8Array(value) && base.name === 'Uint8Array') {
      return ['bytes', Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')];
    }
    return undefined;
  }

  private writeMembers(value: object, path: string, depth: number): unknown {
    const prototype = Object.getPrototypeOf(value) as object | null;
    const base = classOf(value);
    const name = prototype === null ? undefined : this.classes.nameOf(prototype);
    if (!base.plain) this.checkClass(value, name, path);
    const members = ownMembers(value, path).map(
      ([key, item]) => [key, this.write(item, member(path, key), depth)] as const,
    );
    if (name !== undefined && !base.plain) return tagged(['class', name, members]);
    const awkward = members.some(([key]) => key === TAG || key === '__proto__');
    return awkward ? tagged(['entries', members]) : Object.fromEntries(members);
  }

  private checkClass(value: object, name: string | undefined, path: string): void {
    const { native, name: className } = classOf(value);
    if (native || types.isNativeError(value)) throw new Refused(path, `is a ${className}`);
    const hidden = hidesState(value);
    if (hidden !== undefined) throw new Refused(path, `is a ${className}, which ${hidden}`);
    if (name !== undefined) return;
    const behaviour = behaviourOf(value);
    if (behaviour === undefined) {
      this.lostClass ??= className;
      return;
    }
    throw new Refused(path, `is a ${className}, whose \`${behaviour}\` would be missing on a replay`);
  }
}

function tagged(tag: Tagged): object {
  return { [TAG]: tag };
}

/** Own members, which must be all there is: what reflection cannot copy cannot be carried. */
function ownMembers(value: object, path: string): (readonly [string, unknown])[] {
  return Reflect.ownKeys(value).map((key) => {
    if (typeof key === 'symbol') throw new Refused(path, 'has a symbol for a member');
    const own = Object.getOwnPropertyDescriptor(value, key) ?? {};
    if (own.get !== undefined) throw new Refused(member(path, key), 'is a getter of the object itself');
    if (own.enumerable !== true) throw new Refused(member(path, key), 'is hidden (not enumerable)');
    return [key, own.value as unknown] as const;
  });
}

/** Names of members may be data of users (a dictionary): only what looks like a name of code is told. */
function member(path: string, key: string): string {
  const shown = /^(?:[A-Za-z_$][\w$]{0,40}|\d{1,6})$/.test(key) ? key : '…';
  return path === '' ? shown : `${path}.${shown}`;
}
