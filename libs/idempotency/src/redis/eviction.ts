import { infoField } from './info.js';

/**
 * What to tell the operator when this Redis may drop records before their time, from the answer to INFO memory;
 * `undefined` when it does not. CONFIG GET would say it too, but managed Redis forbids it.
 */
export function evictionWarning(info: string): string | undefined {
  const policy = infoField(info, 'maxmemory_policy');
  const limited = Number(infoField(info, 'maxmemory') ?? 0) > 0;
  if (policy === undefined || policy === 'noeviction' || !limited) return undefined;
  return (
    `redisStorage: when this Redis is full it drops keys (maxmemory-policy ${policy}), and a dropped record lets its operation run twice. ` +
    'Set `maxmemory-policy noeviction`, or give the records a Redis of their own.'
  );
}
