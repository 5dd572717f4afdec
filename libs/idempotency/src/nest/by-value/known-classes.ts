import 'reflect-metadata';
import type { KnownClasses } from '../../core/carried-value-format.js';
import { optionalPackage } from '../contexts/optional-package.js';
import type { DecoratedMethod } from '../decorated-methods.js';
import type { Transport } from '../transports.js';

type Class = { readonly name: string; readonly prototype: object };

interface GraphqlType {
  readonly name: string;
  readonly target: unknown;
}

/** The part of `@nestjs/graphql`'s register of types that we read. */
interface TypeRegister {
  getObjectTypesMetadata(): Iterable<GraphqlType> | ReadonlyMap<unknown, GraphqlType>;
}

/**
 * Classes that every process of the application knows by the same name: the object types of the schema, by their name in
 * it, and the classes that decorated handlers declare as their return type.
 */
export class ApplicationClasses implements KnownClasses {
  private readonly prototypes = new Map<string, object>();
  private readonly names = new Map<object, string>();
  /** Names of two classes: whoever reads one could not tell which. */
  private readonly ambiguous = new Set<string>();
  private register: TypeRegister | undefined;

  /** @param methods every decorated method of the application */
  async learn(methods: readonly DecoratedMethod[], transports: ReadonlySet<Transport>): Promise<void> {
    if (transports.has('graphql')) {
      const graphql = await optionalPackage('@nestjs/graphql', () => import('@nestjs/graphql'));
      this.register = graphql.TypeMetadataStorage;
    }
    for (const { metatype, name } of methods) {
      const { prototype } = metatype as unknown as Class;
      const type: unknown = Reflect.getMetadata('design:returntype', prototype, name);
      if (isClass(type) && !isNative(type)) this.add(`class:${type.name}`, type.prototype);
    }
  }

  nameOf(prototype: object): string | undefined {
    this.readRegister();
    return this.names.get(prototype);
  }

  prototypeOf(name: string): object | undefined {
    this.readRegister();
    return this.prototypes.get(name);
  }

  /** Filled by decorators when the schema is built, which is after us. */
  private readRegister(): void {
    const { register } = this;
    if (register === undefined) return;
    this.register = undefined;
    const types = register.getObjectTypesMetadata();
    const list = types instanceof Map ? [...types.values()] : [...(types as Iterable<GraphqlType>)];
    for (const { name, target } of list) if (isClass(target)) this.add(`type:${name}`, target.prototype);
  }

  private add(name: string, prototype: object): void {
    const other = this.prototypes.get(name);
    if (other === prototype || this.ambiguous.has(name)) return;
    if (other === undefined) {
      this.prototypes.set(name, prototype);
      if (!this.names.has(prototype)) this.names.set(prototype, name);
    } else {
      this.ambiguous.add(name);
      this.names.delete(other);
      this.prototypes.delete(name);
    }
  }
}

function isClass(value: unknown): value is Class {
  if (typeof value !== 'function') return false;
  const { prototype } = value as { prototype?: unknown };
  return typeof prototype === 'object' && prototype !== null;
}

function isNative(type: Class): boolean {
  return /\[native code\]/.test(Function.prototype.toString.call(type)) || type.name === 'Observable';
}
