/** What can be told of an object's class without running any of its code. */
export interface ClassFact {
  readonly name: string;
  /** Of the language or the platform, not of the application. */
  readonly native: boolean;
  /** No class at all: an object literal, or one without a prototype. */
  readonly plain: boolean;
}

export function classOf(value: object): ClassFact {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === null) return { name: 'Object', native: true, plain: true };
  const constructor = constructorOf(prototype);
  const name =
    constructor === undefined || constructor.name === '' ? 'class without a name' : constructor.name;
  const native = constructor !== undefined && isNative(constructor);
  // Another realm (a worker's, a test runner's) has an `Object` of its own.
  return { name, native, plain: native && Object.getPrototypeOf(prototype) === null };
}

/** The first member that the class gives its instances beside data; undefined for classes of data alone. */
export function behaviourOf(value: object): string | undefined {
  for (const level of ownLevels(value)) {
    const found = Reflect.ownKeys(level).find((key) => key !== 'constructor');
    if (found !== undefined) return String(found);
  }
  return undefined;
}

/** Why an instance of this class cannot be made anew from its members; undefined when it can. */
export function hidesState(value: object): string | undefined {
  for (const level of ownLevels(value)) {
    const constructor = constructorOf(level);
    if (constructor !== undefined && hasPrivateMembers(constructor)) return 'has #private members';
  }
  const last = ownLevels(value).at(-1);
  const base = last === undefined ? null : (Object.getPrototypeOf(last) as object | null);
  const native = base === null ? undefined : constructorOf(base);
  // A Map or an Error keeps what it is in slots that no copy gets.
  return native === undefined || Object.getPrototypeOf(base) === null ? undefined : `extends ${native.name}`;
}

/** The prototypes that are the application's own, the derived class's first. */
function ownLevels(value: object): object[] {
  const levels: object[] = [];
  let level = Object.getPrototypeOf(value) as object | null;
  while (level !== null) {
    const constructor = constructorOf(level);
    if (constructor !== undefined && isNative(constructor)) break;
    levels.push(level);
    level = Object.getPrototypeOf(level) as object | null;
  }
  return levels;
}

type Constructor = (...args: never[]) => unknown;

function constructorOf(prototype: object): Constructor | undefined {
  const found: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  return typeof found === 'function' ? (found as Constructor) : undefined;
}

const sources = new WeakMap<Constructor, { readonly native: boolean; readonly hides: boolean }>();

function isNative(constructor: Constructor): boolean {
  return sourceOf(constructor).native;
}

function hasPrivateMembers(constructor: Constructor): boolean {
  return sourceOf(constructor).hides;
}

/** As written, and the helpers that TypeScript, swc, Babel and esbuild put in their place. */
const PRIVATE_MEMBERS =
  /\.#[A-Za-z_$]|#[\w$]+ in |__classPrivateField|_class_private_|_classPrivate|__private[A-Z]/;

/** Private members cannot be seen by reflection, only used in the source. */
function sourceOf(constructor: Constructor) {
  const known = sources.get(constructor);
  if (known !== undefined) return known;
  const text = Function.prototype.toString.call(constructor);
  const fact = {
    native: /\{\s*\[native code\]\s*\}\s*$/.test(text),
    hides: PRIVATE_MEMBERS.test(text),
  };
  sources.set(constructor, fact);
  return fact;
}
