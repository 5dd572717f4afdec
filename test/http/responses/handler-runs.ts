import 'reflect-metadata';
import { Idempotent, type IdempotentOptions } from 'nestjs-idempotent';

let runs = 0;

/** How often decorated handlers have begun since the count was last taken. Tests run one after another. */
export function takeHandlerRuns(): number {
  const taken = runs;
  runs = 0;
  return taken;
}

/** `@Idempotent()`, on a handler whose runs are counted. */
export function Once(options: IdempotentOptions = {}): MethodDecorator {
  return (target, name, descriptor) => {
    const original = descriptor.value as (this: unknown, ...args: unknown[]) => unknown;
    const counted = function (this: unknown, ...args: unknown[]): unknown {
      runs += 1;
      return original.apply(this, args);
    };
    for (const key of Reflect.getOwnMetadataKeys(original) as unknown[]) {
      Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, original), counted);
    }
    Object.defineProperty(counted, 'name', { value: original.name });
    Object.defineProperty(counted, 'length', { value: original.length });
    descriptor.value = counted as typeof descriptor.value;
    return Idempotent(options)(target, name, descriptor);
  };
}

/** A place where handlers wait until the test lets them go on. Open unless a test holds it. */
class Gate {
  private passage: Promise<void> = Promise.resolve();
  private release: () => void = () => {};
  private arrival: Promise<void> = Promise.resolve();
  private arrive: () => void = () => {};

  hold(): void {
    this.passage = new Promise((resolve) => (this.release = resolve));
    this.arrival = new Promise((resolve) => (this.arrive = resolve));
  }

  open(): void {
    this.release();
    this.arrival = new Promise(() => {});
  }

  /** Resolves when somebody waits at the gate, and never once it is open. */
  get reached(): Promise<void> {
    return this.arrival;
  }

  pass(): Promise<void> {
    this.arrive();
    return this.passage;
  }
}

export const gate = new Gate();
