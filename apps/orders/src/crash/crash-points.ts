import { appendFileSync, readFileSync } from 'node:fs';
import { readCrashPlan } from './crash-plan.js';
import type { CrashPlan } from './crash-plan.js';

/** Where every wait on the way of a request begins and ends, so that a demonstration can kill the app at each of them. */

/** Read once: the decorators below decide when their classes are loaded. */
export const crashPlan = readCrashPlan(process.env['CRASH_AT']);

/** The demonstration's: a file that gets a line for each point that is reached. */
const trace = process.env['CRASH_TRACE'] || undefined;

/** Nobody asked for a crash: then nothing is wrapped, and a point costs nothing. */
export const crashPointsAreArmed =
  crashPlan.kind === 'kill' || crashPlan.kind === 'told' || trace !== undefined;

/** The first wait of every request that changes something. What a health check passes before it must not count. */
const FIRST = 'storage.claim:before';
let begun = false;

/** Nest waits for these at the start and at the end, and not on the way of a request. */
const HOOKS = [
  'onModuleInit',
  'onApplicationBootstrap',
  'onModuleDestroy',
  'beforeApplicationShutdown',
  'onApplicationShutdown',
];

const known = new Set<string>();
const visits = new Map<string, number>();

/** In the order in which the classes that hold them were loaded. */
export const knownCrashPoints = (): readonly string[] => [...known];

/** A wait of this name exists: it has a point before and one after it. */
export function registerWait(name: string): void {
  known.add(`${name}:before`).add(`${name}:after`);
}

/**
 * Puts the points around every `async` method of a class, its own and not those it inherits. A method that merely
 * returns somebody's promise has none: make it `async`.
 */
export const CrashPoints =
  (): ClassDecorator =>
  ({ name, prototype }) => {
    const methods = Object.getOwnPropertyDescriptors(prototype as object);
    for (const [method, descriptor] of Object.entries(methods)) {
      const original: unknown = descriptor.value;
      if (!isAsync(original) || HOOKS.includes(method)) continue;
      registerWait(`${name}.${method}`);
      if (!crashPointsAreArmed) continue;
      const value = withCrashPoints(`${name}.${method}`, original);
      Object.defineProperty(prototype, method, { ...descriptor, value });
    }
  };

/** The same function with a point before it begins and one when it has settled, either way. */
export function withCrashPoints<This, Args extends unknown[], Result>(
  name: string,
  wait: (this: This, ...args: Args) => Promise<Result>,
): (this: This, ...args: Args) => Promise<Result> {
  return async function (...args) {
    reach(`${name}:before`);
    try {
      return await wait.apply(this, args);
    } finally {
      reach(`${name}:after`);
    }
  };
}

/** SIGKILL to oneself arrives before `kill` returns: nothing behind it runs, not even a `finally`. */
function reach(point: string): void {
  const plan = planOfNow();
  begun ||= point === FIRST;
  if (!begun) return;
  const visit = (visits.get(point) ?? 0) + 1;
  visits.set(point, visit);
  if (trace !== undefined) appendFileSync(trace, `${point}#${visit}\n`);
  if (plan.kind === 'kill' && plan.point === point && plan.visit === visit) {
    process.kill(process.pid, 'SIGKILL');
  }
}

/** What the file said last. */
let told = '';

/** Where a file says what is asked for, visits count anew from when it says something else. */
function planOfNow(): CrashPlan {
  if (crashPlan.kind !== 'told') return crashPlan;
  const text = readFileSync(crashPlan.file, 'utf8');
  if (text !== told) {
    told = text;
    begun = false;
    visits.clear();
  }
  return readCrashPlan(text.replace(/^\d+/, ''));
}

function isAsync(value: unknown): value is (...args: unknown[]) => Promise<unknown> {
  return typeof value === 'function' && Object.prototype.toString.call(value) === '[object AsyncFunction]';
}
