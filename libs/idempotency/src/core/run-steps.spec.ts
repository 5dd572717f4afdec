import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  DAY,
  EngineWorld,
  result,
  SECOND,
  USUAL,
  type SimulatedProcess,
} from '../../../../test/support/engine-world.js';
import { Gate } from '../testing/gate.js';
import { seededRandomness } from '../testing/seeded-randomness.js';
import { RunSteps, type StepRefusals } from './run-steps.js';
import type { Run } from './run.js';

let world: EngineWorld;
let one: SimulatedProcess;
let other: SimulatedProcess;
let failures: string[];
let log: string[];
let latest: Run;

beforeEach(() => {
  world = new EngineWorld();
  [one, other] = [world.process(), world.process()];
  [failures, log] = [[], []];
});
afterEach(async () => {
  expect(await world.end()).toBe(0);
});

const refusals: StepRefusals = {
  badName: (name, reason) => new Error(`bad name ${JSON.stringify(name)}: ${reason}`),
  reused: (name) => new Error(`reused ${name}`),
  notStorable: (name) => new Error(`not storable ${name}`),
  unsaved: (name, cause) => new Error(`unsaved ${name}`, { cause }),
  over: (name) => new Error(`over ${name}`),
  ended: (error) => new Error(`ended ${Buffer.from(error).toString()}`),
};

const stepsOf = (run: Run): RunSteps =>
  new RunSteps(run, {
    timers: world.clock.timers,
    randomness: seededRandomness(1),
    refusals,
    outside: (fn) => fn(),
    onUndoFailed: (error) => failures.push(error.message),
  });

/** The next attempt, of another process, after this one was given up. */
async function next(run: Run): Promise<RunSteps> {
  await run.release({ forget: false });
  latest = await other.run();
  return stepsOf(latest);
}

const does = (name: string) => () => {
  log.push(name);
  return { name };
};
const undoes = (name: string) => ({
  undo: (made: unknown) => log.push(`undo ${name} ${JSON.stringify(made)}`),
});
const error = () => Buffer.from('no');

/** Where a promise is, after time that is enough for every try. */
async function after<T>(promise: Promise<T>, ms = 10 * SECOND): Promise<T> {
  const settled = promise.then(
    (value) => () => value,
    (reason: Error) => () => Promise.reject(reason),
  );
  await world.advance(ms);
  return (await settled)();
}

describe('A step', () => {
  it('runs once for all attempts, and each gets its result', async () => {
    const run = await one.run();
    const first = stepsOf(run);
    expect(await first.step('charge', does('charge'))).toEqual({ name: 'charge' });

    const second = await next(run);

    expect(await second.step('charge', does('charge'))).toEqual({ name: 'charge' });
    expect(await second.step('ship', does('ship'))).toEqual({ name: 'ship' });
    expect(log).toEqual(['charge', 'ship']);
    expect([...second.finished]).toEqual([
      ['charge', { name: 'charge' }],
      ['ship', { name: 'ship' }],
    ]);
  });

  it.each([
    ['a text', 'done'],
    ['nothing', undefined],
    ['null', null],
    ['0', 0],
    ['false', false],
    ['a list', [1, { a: 'ß' }]],
  ])('may come to %s', async (_what, value) => {
    const run = await one.run();
    expect(await stepsOf(run).step('a', () => value)).toEqual(value);
    expect(await (await next(run)).step('a', () => 'never')).toEqual(value);
  });

  it('gives on its first attempt what JSON makes of its result, as on the others', async () => {
    const run = await one.run();
    const made = { id: 1, none: undefined };

    const first = await stepsOf(run).step('a', () => made);

    expect(first).not.toBe(made);
    expect(Object.keys(first)).toEqual(['id']);
    expect(Object.keys(await (await next(run)).step('a', () => made))).toEqual(['id']);
  });

  it.each([
    ['a Date', new Date(0)],
    ['an instance', new (class Charge {})()],
    ['a bigint', 1n],
    ['NaN', [Number.NaN]],
    ['a function', { then: 1, call: () => 1 }],
    ['bytes', Buffer.from('a')],
  ])('that comes to %s is an error that names it, and nothing is kept', async (_what, value) => {
    const run = await one.run();
    await expect(stepsOf(run).step('charge', () => value as unknown)).rejects.toThrow('not storable charge');

    expect(one.calls('saveStep')).toBe(0);
    expect(await (await next(run)).step('charge', () => 'plain')).toBe('plain');
  });

  it.each([
    ['', /not a text, or an empty one/],
    [7, /not a text/],
    ['\u0000late', /begins with the character NUL/],
    ['é'.repeat(101), /longer than 200 bytes/],
  ])('cannot be called %j', async (name, reason) => {
    const steps = stepsOf(await one.run());
    await expect(steps.step(name as string, does('a'))).rejects.toThrow(reason);
    expect(log).toEqual([]);
  });

  it('may have any other name', async () => {
    const run = await one.run();
    for (const name of ['a', ' ', '__proto__', 'é'.repeat(100), 'a\u0000b'])
      await stepsOf(run).step(name, does(name));
    expect(log).toHaveLength(5);
  });

  it('of a name that is used is refused, also side by side, and does not run', async () => {
    const steps = stepsOf(await one.run());
    const gate = new Gate();
    const first = steps.step('charge', () => gate.pass());
    await expect(steps.step('charge', does('again'))).rejects.toThrow('reused charge');
    gate.open();
    await first;
    await expect(steps.step('charge', does('again'))).rejects.toThrow('reused charge');
    expect(log).toEqual([]);
  });

  it('that throws is not kept, and may be tried again under its name', async () => {
    const run = await one.run();
    const steps = stepsOf(run);
    const failure = new Error('away');
    await expect(steps.step('charge', () => Promise.reject(failure))).rejects.toBe(failure);
    expect(one.calls('saveStep')).toBe(0);
    expect(await steps.step('charge', () => 'at last')).toBe('at last');
  });

  it('that throws is done again by the next attempt', async () => {
    const run = await one.run();
    await expect(stepsOf(run).step('charge', () => Promise.reject(new Error('away')))).rejects.toThrow(
      'away',
    );
    expect(await (await next(run)).step('charge', does('charge'))).toEqual({ name: 'charge' });
  });

  it('is done once when an interceptor lets the handler begin again, also one that is still under way', async () => {
    const steps = stepsOf(await one.run());
    const gate = new Gate();
    await steps.step('a', does('a'));
    const slow = steps.step('b', async () => {
      await gate.pass();
      return does('b')();
    });
    steps.restart();
    const again = [steps.step('a', does('a')), steps.step('b', does('b'))];
    gate.open();

    expect(await Promise.all([slow, ...again])).toEqual([{ name: 'b' }, { name: 'a' }, { name: 'b' }]);
    expect(log).toEqual(['a', 'b']);
  });
});

describe('A step whose result cannot be saved', () => {
  it('fails, and is done again by the next attempt', async () => {
    const run = await one.run();
    one.storage.rejectNext('saveStep', Infinity);
    await expect(after(stepsOf(run).step('charge', does('charge')), SECOND)).rejects.toThrow(
      'unsaved charge',
    );
    one.storage.heal();

    await (await next(run)).step('charge', does('charge'));

    expect(log).toEqual(['charge', 'charge']);
  });

  it('is only saved when the same attempt tries it again: its effect is there', async () => {
    const steps = stepsOf(await one.run());
    one.storage.rejectNext('saveStep', Infinity);
    await expect(after(steps.step('charge', does('charge')), SECOND)).rejects.toThrow('unsaved charge');
    one.storage.heal();

    expect(await steps.step('charge', does('charge'))).toEqual({ name: 'charge' });
    expect(log).toEqual(['charge']);
  });

  it('but was, is not done again', async () => {
    const run = await one.run();
    one.storage.loseAnswer('saveStep');
    expect(await after(stepsOf(run).step('charge', does('charge')), SECOND)).toEqual({ name: 'charge' });
    expect(await (await next(run)).step('charge', does('charge'))).toEqual({ name: 'charge' });
    expect(log).toEqual(['charge']);
  });
});

describe('After a takeover', () => {
  it('no step begins in a process that stood still, also before its timers have told it', async () => {
    const run = await one.run();
    const steps = stepsOf(run);
    await steps.step('charge', does('charge'));
    one.loop.block();
    await world.advance(USUAL.leaseMs);

    expect(run.signal.aborted).toBe(false);
    await expect(steps.step('ship', does('ship'))).rejects.toThrow('over ship');
    expect(log).toEqual(['charge']);
  });

  it('no step of the first run begins any more, and one that is under way is not saved', async () => {
    const run = await one.run();
    const steps = stepsOf(run);
    const gate = new Gate();
    const charge = steps.step('charge', () => gate.pass());
    one.loop.block();
    await world.advance(USUAL.leaseMs);
    const successor = stepsOf(await other.run());
    await successor.step('charge', does('charge by the second'));
    one.loop.unblock();
    gate.open();

    await expect(after(charge, SECOND)).rejects.toThrow('over charge');
    expect(run.signal.aborted).toBe(true);
    await expect(steps.step('ship', does('ship'))).rejects.toThrow('over ship');
    expect(await successor.step('ship', does('ship by the second'))).toEqual({ name: 'ship by the second' });
    expect(log).toEqual(['charge by the second', 'ship by the second']);
  });
});

describe('The end of a run', () => {
  it('waits for steps that are under way, and lets no other begin', async () => {
    const run = await one.run();
    const steps = stepsOf(run);
    const gate = new Gate();
    const slow = steps.step('slow', () => gate.pass());
    const settled = steps.settled();

    expect(await world.peek(settled)).toBe('pending');
    await expect(steps.step('late', does('late'))).rejects.toThrow('over late');
    gate.open();
    await settled;

    await slow;
    expect([...(await next(run)).finished.keys()]).toEqual(['slow']);
    expect(log).toEqual([]);
  });

  it('does not wait for a step that hangs longer than the lease lasts', async () => {
    const steps = stepsOf(await one.run({ maxRunMs: 30 * SECOND }));
    const gate = new Gate();
    const hanging = steps.step('hangs', () => gate.pass());
    await after(steps.settled(), 61 * SECOND);
    gate.open();
    await expect(after(hanging, SECOND)).resolves.toBeUndefined();
  });
});

describe('To undo', () => {
  const threeSteps = async (steps: RunSteps) => {
    for (const name of ['a', 'b', 'c']) await steps.step(name, does(name), undoes(name));
    log.length = 0;
  };

  it('takes back what was done, newest first, and marks each', async () => {
    const run = await one.run();
    const steps = stepsOf(run);
    await threeSteps(steps);

    expect(await steps.undo(error)).toBe('done');

    expect(log).toEqual(['undo c {"name":"c"}', 'undo b {"name":"b"}', 'undo a {"name":"a"}']);
    const kept = (await world.memory.get(run.id))?.steps ?? new Map();
    expect([...kept.keys()]).toEqual([
      'a',
      'b',
      'c',
      '\u0000undoing',
      '\u0000undone:c',
      '\u0000undone:b',
      '\u0000undone:a',
    ]);
  });

  it('goes by the order in which steps finished, not by that in which they began', async () => {
    const steps = stepsOf(await one.run());
    const gate = new Gate();
    const slow = steps.step('slow', () => gate.pass(), undoes('slow'));
    await steps.step('quick', does('quick'), undoes('quick'));
    gate.open();
    await slow;

    expect(await steps.undo(error)).toBe('done');
    expect(log).toEqual(['quick', 'undo slow undefined', 'undo quick {"name":"quick"}']);
  });

  it('asks the storage for nothing when nothing has an undo', async () => {
    const steps = stepsOf(await one.run());
    await steps.step('a', does('a'));
    one.storage.clearCalls();
    const unasked = () => {
      throw new Error('nobody asks for the error then');
    };

    expect(await steps.undo(unasked)).toBe('done');
    expect(one.calls()).toBe(0);
  });

  it('takes back what earlier attempts did, and what was done and could not be saved', async () => {
    const run = await one.run();
    await stepsOf(run).step('a', does('a'), undoes('a'));
    const steps = await next(run);
    await steps.step('a', does('never'), undoes('a'));
    other.storage.rejectNext('saveStep', Infinity);
    await expect(after(steps.step('b', does('b'), undoes('b')), SECOND)).rejects.toThrow('unsaved b');
    other.storage.heal();
    log.length = 0;

    expect(await steps.undo(error)).toBe('done');
    expect(log).toEqual(['undo b {"name":"b"}', 'undo a {"name":"a"}']);
  });

  it('leaves a step alone that threw: nothing is known of what it did', async () => {
    const steps = stepsOf(await one.run());
    await steps.step('a', does('a'), undoes('a'));
    await expect(steps.step('b', () => Promise.reject(new Error('away')), undoes('b'))).rejects.toThrow(
      'away',
    );

    expect(await steps.undo(error)).toBe('done');
    expect(log).toEqual(['a', 'undo a {"name":"a"}']);
  });

  it('does nothing when an earlier attempt did a step that the handler has not come to, and says which', async () => {
    const run = await one.run();
    await stepsOf(run).step('a', does('a'), undoes('a'));
    const steps = await next(run);
    await steps.step('b', does('b'), undoes('b'));
    log.length = 0;

    expect(await steps.undo(error)).toBe('failed');

    expect(log).toEqual([]);
    expect(failures).toEqual([expect.stringContaining('before it came to `a`')]);
    expect((await world.memory.get(run.id))?.steps.has('\u0000undoing')).toBe(false);
  });

  it('tries an undo a few times, then leaves it to the next attempt, which goes on from there', async () => {
    const run = await one.run();
    const first = stepsOf(run);
    let away = true;
    let tries = 0;
    const refund = (made: unknown) => {
      tries += 1;
      if (away) throw new Error('the bank is away');
      log.push(`undo ${JSON.stringify(made)}`);
    };
    await first.step('a', does('a'), { undo: refund });
    await first.step('b', does('b'), undoes('b'));
    expect(await after(first.undo(error))).toBe('failed');
    expect({ tries, failures }).toEqual({
      tries: 4,
      failures: ['`a` could not be undone: the bank is away'],
    });
    away = false;
    log.length = 0;

    const second = await next(run);

    expect(Buffer.from(second.undoing ?? '').toString()).toBe('no');
    expect(second.needsHandler).toBe(true);
    await second.step('a', does('never'), { undo: refund });
    await second.step('b', does('never'), undoes('b'));
    await expect(second.step('c', does('never'), undoes('c'))).rejects.toThrow('ended no');
    expect(await second.undo(() => Buffer.from('another'))).toBe('done');
    expect(log).toEqual(['undo {"name":"a"}']);
    const third = await next(latest);
    expect(third.needsHandler).toBe(false);
    expect(Buffer.from(third.undoing ?? '').toString()).toBe('no');
  });

  it('begins nothing when the final error cannot be noted', async () => {
    const steps = stepsOf(await one.run());
    await threeSteps(steps);
    one.storage.rejectNext('saveStep', Infinity);

    expect(await after(steps.undo(error), 20 * SECOND)).toBe('failed');

    expect(log).toEqual([]);
    expect(failures).toEqual([
      expect.stringMatching(/^The final error could not be noted, so nothing is undone: /),
    ]);
    one.storage.heal();
  });

  it('begins none in a process that stood still, also before its timers have told it', async () => {
    const run = await one.run();
    const steps = stepsOf(run);
    await steps.step('a', does('a'), undoes('a'));
    await steps.step('b', does('b'), { undo: () => log.push('undo b') });
    log.length = 0;
    const gate = new Gate();
    const save = run.saveStep.bind(run);
    run.saveStep = async (name, value) => {
      const saved = await save(name, value);
      if (name.endsWith('undone:b')) await gate.pass();
      return saved;
    };
    const undone = steps.undo(error);
    await gate.reached();
    one.loop.block();
    await world.advance(USUAL.leaseMs);
    gate.open();
    await world.clock.settle();

    expect(run.signal.aborted).toBe(false);
    expect(log).toEqual(['undo b']);
    one.loop.unblock();
    expect(await after(undone)).toBe('failed');
    expect(log).toEqual(['undo b']);
  });

  it('is not done while a step with an undo hangs longer than the lease lasts: its effect may come', async () => {
    const steps = stepsOf(await one.run({ maxRunMs: 30 * SECOND }));
    const gate = new Gate();
    const hanging = steps.step('hangs', () => gate.pass(), undoes('hangs'));
    await after(steps.settled(), 61 * SECOND);

    expect(await steps.undo(error)).toBe('failed');

    expect(failures).toEqual([expect.stringContaining('`hangs` has not ended')]);
    gate.open();
    await hanging.catch(() => undefined);
  });

  it('stops when the lease is lost: another attempt goes on', async () => {
    const run = await one.run();
    const steps = stepsOf(run);
    await threeSteps(steps);
    await steps.step('d', does('d'), {
      undo: async () => {
        await other.engine.begin({ ...USUAL });
        await world.memory.forget(run.id);
      },
    });
    log.length = 0;

    expect(await after(steps.undo(error))).toBe('failed');
    expect(log).toEqual([]);
    expect(failures).toEqual([expect.stringContaining('`d` is undone, and that could not be noted')]);
  });

  it('does not wait for an undo that hangs longer than the lease lasts', async () => {
    const steps = stepsOf(await one.run({ maxRunMs: 30 * SECOND }));
    await steps.step('a', does('a'), { undo: () => new Gate().pass() });

    expect(await after(steps.undo(error), 61 * SECOND)).toBe('failed');
    expect(failures).toEqual(['`a` could not be undone: the lease is lost.']);
  });

  it('leaves a record that completes as any other does', async () => {
    const run = await one.run();
    const steps = stepsOf(run);
    await threeSteps(steps);
    await steps.undo(error);
    expect(await run.complete(result('refused'), DAY)).toBe('recorded');
  });
});
