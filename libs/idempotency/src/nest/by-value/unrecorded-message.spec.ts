import { describe, expect, it } from '@jest/globals';
import { NEVER, of } from 'rxjs';
import type { Settlement } from '../deliveries/delivery.js';
import { UnrecordedMessage } from './unrecorded-message.js';

function message() {
  const settled: Settlement['verdict'][] = [];
  const part = { settle: ({ verdict }: Settlement) => void settled.push(verdict) };
  return { settled, message: new UnrecordedMessage(part, () => 'refused') };
}

describe('a message that is answered without a record', () => {
  it('waits for its handler, which goes on without those who listened', async () => {
    const { message: told, settled } = message();
    const handle = told.run((handler) => handler());
    const listening = told.watch(NEVER).subscribe();
    let fail: (error: Error) => void = () => {};
    const running = handle(() => new Promise((_, reject) => (fail = reject)));
    listening.unsubscribe();
    expect(settled).toEqual([]);
    fail(new Error('broken'));
    await expect(running).rejects.toThrow('broken');
    expect(settled).toEqual(['refused']);
  });

  it('does not run any more once it has gone back', async () => {
    const { message: told, settled } = message();
    let runs = 0;
    told.watch(NEVER).subscribe().unsubscribe();
    await expect(told.run((handler) => handler())(() => (runs += 1))).rejects.toThrow('it does not run');
    expect([settled, runs]).toEqual([['again'], 0]);
  });

  it('is done when its answer is heard', () => {
    const { message: told, settled } = message();
    told.watch(of('done')).subscribe();
    expect(settled[0]).toBe('done');
  });
});
