import { canonicalJson } from '../../core/canonical-json.js';
import { carriedValue } from '../../core/carried-value-reader.js';
import type { KnownClasses } from '../../core/carried-value-format.js';
import { carryValue, type CarriedValue } from '../../core/carried-value.js';

type InstanceToPlain = (value: unknown, options: { strategy: 'exposeAll' | 'excludeAll' }) => unknown;

/**
 * Serializers that go by the class of a value (`ClassSerializerInterceptor`): a value that has lost its class would pass them with
 * members that they leave out.
 */
export class Serializers {
  private instanceToPlain: InstanceToPlain | undefined;

  /** The package is optional; without it there is no such serializer. */
  async load(): Promise<void> {
    try {
      this.instanceToPlain = (await import('class-transformer')).instanceToPlain as InstanceToPlain;
    } catch {
      this.instanceToPlain = undefined;
    }
  }

  /** Carries a value so that nothing goes out on a replay that did not go out before. */
  carry(value: unknown, classes: KnownClasses): CarriedValue {
    const carried = carryValue(value, classes);
    if (carried.kind === 'refused' || carried.lostClass === undefined) return carried;
    if (!this.wouldMiss(value, carriedValue(carried.bytes, classes))) return carried;
    return { kind: 'refused', reason: `it holds a ${carried.lostClass}, by whose class it is serialized` };
  }

  private wouldMiss(value: unknown, copy: unknown): boolean {
    const { instanceToPlain } = this;
    if (instanceToPlain === undefined) return false;
    const seen = (what: unknown, strategy: 'exposeAll' | 'excludeAll') =>
      canonicalJson(instanceToPlain(what, { strategy }));
    try {
      return (['exposeAll', 'excludeAll'] as const).some((how) => seen(value, how) !== seen(copy, how));
    } catch {
      return true; // a @Transform() of the user's that throws
    }
  }
}
