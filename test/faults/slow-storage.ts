import type { IdempotencyStorage } from 'nestjs-idempotent';
import { setTimeout as sleep } from 'node:timers/promises';

/** A storage that is as far away as `delayMs` says, each time anew: half of the way before the call, half after it. */
export function slowStorage(inner: IdempotencyStorage, delayMs: () => number): IdempotencyStorage {
  const slow = new Set<PropertyKey>(['claim', 'renew', 'complete', 'release', 'saveStep']);
  return new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      const call = (...args: unknown[]): unknown => Reflect.apply(member, target, args) as unknown;
      if (!slow.has(name)) return call;
      return async (...args: unknown[]) => {
        await sleep(delayMs() / 2);
        const answer = await call(...args);
        await sleep(delayMs() / 2);
        return answer;
      };
    },
  });
}
