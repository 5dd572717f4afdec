import { describe, expect, it } from '@jest/globals';
import { evictionWarning } from './eviction.js';

const info = (maxmemory: number, policy: string) =>
  `# Memory\r\nused_memory:1000\r\nmaxmemory:${maxmemory}\r\nmaxmemory_human:0B\r\nmaxmemory_policy:${policy}\r\n`;

describe('evictionWarning', () => {
  it('warns of every policy that drops keys when memory is limited', () => {
    for (const policy of ['allkeys-lru', 'volatile-ttl', 'volatile-lfu', 'allkeys-random']) {
      expect(evictionWarning(info(1_000_000, policy))).toContain(`maxmemory-policy ${policy}`);
    }
  });

  it('is silent when nothing is ever dropped', () => {
    expect(evictionWarning(info(1_000_000, 'noeviction'))).toBeUndefined();
    expect(evictionWarning(info(0, 'allkeys-lru'))).toBeUndefined();
  });

  it('is silent when the server does not tell', () => {
    expect(evictionWarning('')).toBeUndefined();
    expect(evictionWarning('# Memory\r\nused_memory:1000\r\n')).toBeUndefined();
  });
});
