import { describe, expect, it } from '@jest/globals';
import { seededRandomness } from '../testing/seeded-randomness.js';
import { ExpiryQueue } from './expiry-queue.js';

describe('ExpiryQueue', () => {
  it('has nothing due when it is empty', () => {
    expect(new ExpiryQueue().due(Infinity)).toBeUndefined();
  });

  it('names the id that is due first, once it is due', () => {
    const queue = new ExpiryQueue();
    queue.set('late', 20);
    queue.set('early', 10);
    expect(queue.due(9)).toBeUndefined();
    expect(queue.due(10)).toBe('early');
    queue.delete('early');
    queue.delete('early');
    expect(queue.due(19)).toBeUndefined();
    expect(queue.due(20)).toBe('late');
  });

  it('agrees with a sorted list however ids are set, moved and removed', () => {
    const { fraction } = seededRandomness(7);
    const queue = new ExpiryQueue();
    const expected = new Map<string, number>();
    const first = () => [...expected].reduce<number>((least, [, dueAt]) => Math.min(least, dueAt), Infinity);
    for (let step = 0; step < 5000; step += 1) {
      const id = `id-${Math.floor(fraction() * 60)}`;
      if (fraction() < 0.3) {
        queue.delete(id);
        expected.delete(id);
      } else {
        const dueAt = Math.floor(fraction() * 1000);
        queue.set(id, dueAt);
        expected.set(id, dueAt);
      }
      const due = queue.due(Infinity);
      expect(due === undefined ? Infinity : expected.get(due)).toBe(first());
    }
  });
});
