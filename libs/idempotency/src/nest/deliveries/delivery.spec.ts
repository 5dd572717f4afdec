import { describe, expect, it } from '@jest/globals';
import { Delivery, type Carrier } from './delivery.js';

/** A broker that writes down what it is told, and timers that go off when they are asked to. */
function delivery({
  expected = 1,
  isShared = false,
  isRequest = false,
  ...carrier
}: Partial<Carrier> & { expected?: number; isShared?: boolean; isRequest?: boolean } = {}) {
  const said: unknown[] = [];
  const pauses: number[] = [];
  let goOff: (() => void) | undefined;
  const told = new Delivery(
    {
      wantsReply: false,
      keepsPause: false,
      deliveries: undefined,
      done: () => said.push('done'),
      refused: () => said.push('refused'),
      again: () => said.push('again'),
      ...carrier,
    },
    {
      set: (ms, fn) => {
        pauses.push(ms);
        return (goOff = fn);
      },
      clear: () => (goOff = undefined),
    },
    isRequest,
    expected,
    isShared,
  );
  return { told, said, pauses, waits: () => goOff !== undefined, goOff: () => goOff?.() };
}

describe('a delivery', () => {
  it('is told once, when all who were called are through', () => {
    const { told, said } = delivery({ expected: 2 });
    told.began();
    const [stock, mail] = [told.open({}), told.open({})];
    stock.settle({ verdict: 'done', told: true });
    told.ended();
    expect(said).toEqual([]);
    mail.settle({ verdict: 'refused', told: true });
    mail.settle({ verdict: 'again', told: true });
    expect(said).toEqual(['refused']);
  });

  it('is not told before an outer interceptor may have tried again', () => {
    const { told, said } = delivery();
    const execution = {};
    told.began();
    told.open(execution).settle({ verdict: 'again', told: true });
    told.open(execution).settle({ verdict: 'done', told: true });
    told.ended();
    expect(said).toEqual(['done']);
  });

  it.each([
    ['by the attempt', { attempt: 3, deliveries: 9 }, 200, 400],
    ['by the count of the broker where nothing has run', { deliveries: 2 }, 100, 200],
    ['for a second where nobody counts', {}, 500, 1000],
    ['for 10 s at most', { attempt: 500 }, 5_000, 10_000],
  ])(
    'waits before it comes again: %s',
    (_name, { attempt, deliveries }: { attempt?: number; deliveries?: number }, least, most) => {
      const { told, said, pauses, goOff } = delivery({ deliveries });
      told.open({}).settle({ verdict: 'again', attempt, told: true });
      expect(said).toEqual([]);
      expect(pauses[0]).toBeGreaterThanOrEqual(least);
      expect(pauses[0]).toBeLessThanOrEqual(most);
      goOff();
      expect(said).toEqual(['again']);
    },
  );

  it('waits with its broker, where that keeps the pause, and for as long as a handler has asked for', () => {
    const given: number[] = [];
    const { told, waits } = delivery({ keepsPause: true, again: (pauseMs) => given.push(pauseMs) });
    const execution = {};
    const part = told.open(execution);
    told.hear('again', execution, 1234);
    part.settle({ verdict: 'again', told: true });
    expect([given, waits()]).toEqual([[1234], false]);
  });

  it('hears others as long as nothing has been sent', () => {
    const { told, said, waits } = delivery();
    told.open({}).settle({ verdict: 'again', told: true });
    told.hear('refused', undefined);
    told.hear('done', undefined);
    expect([said, waits()]).toEqual([['refused'], false]);
  });

  it.each([
    ['an exception filter, which has decided', false, 'done'],
    ['an undecorated handler, which speaks for itself', true, 'refused'],
  ])('whose handler a guard has refused hears %s', (_name, isShared, verdict) => {
    const { told, said } = delivery({ isShared });
    told.began();
    told.hear('done', undefined);
    told.ended({ error: { status: 'error', message: 'Forbidden resource' } });
    expect(said).toEqual([verdict]);
  });

  it('of a request goes by what its handler has said, else it is done when its sender has been told', () => {
    const [back, silent] = [delivery({ isRequest: true }), delivery({ isRequest: true })];
    const execution = {};
    const part = back.told.open(execution);
    back.told.hear('again', execution);
    part.settle({ verdict: 'again', attempt: 1, told: true });
    silent.told.open({}).settle({ verdict: 'again', attempt: 1, told: true });
    back.goOff();
    expect([back.said, silent.said]).toEqual([['again'], ['done']]);
  });

  it('of several handlers comes again for one of them, whatever is said about the others after its end', () => {
    const { told, said, goOff } = delivery({ isShared: true });
    told.began();
    told.open({}).settle({ verdict: 'again', told: true });
    told.hear('done', undefined);
    told.ended();
    told.hear('refused', undefined);
    expect(said).toEqual([]);
    goOff();
    expect(said).toEqual(['again']);
  });

  it('whose outcome is that of another run hears nobody before that is known', () => {
    const { told, said, goOff } = delivery();
    told.began();
    told.open({}).settle({ verdict: 'again', told: false });
    told.hear('done', undefined);
    told.ended();
    told.hear('refused', undefined);
    expect(said).toEqual([]);
    goOff();
    expect(said).toEqual(['again']);
  });

  it('that was settled behind its back is not told again', () => {
    const { told, said, waits } = delivery();
    const part = told.open({});
    told.settledElsewhere();
    part.settle({ verdict: 'again', told: true });
    expect([said, waits()]).toEqual([[], false]);
  });

  it.each([
    ['an error that nobody has expected', { status: 'error', message: 'Internal server error' }, 'again'],
    ['a refusal', { status: 'error', message: 'Forbidden resource' }, 'refused'],
  ])('that no handler was reached with goes by %s', (_name, error, verdict) => {
    const { told, said, goOff } = delivery();
    told.began();
    told.ended({ error });
    goOff();
    expect(said).toEqual([verdict]);
  });

  it('that no handler was reached with is done when somebody else has answered, or its sender has the error', () => {
    const [event, request] = [delivery(), delivery({ isRequest: true })];
    event.told.began();
    event.told.ended();
    request.told.began();
    request.told.ended({ error: new Error('broken') });
    expect([event.said, request.said]).toEqual([['done'], ['done']]);
  });
});
