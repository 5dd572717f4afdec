import type { Bench } from './bench.js';
import type { CustomerOptions } from './client.js';
import { oneOrder, plainPath, type Kill, type Outcome } from './one-order.js';
import type { DemoOptions } from './options.js';
import { paymentsDie, PAYMENTS_POINTS } from './payments-die.js';
import { inLanes } from './lanes.js';

export interface Explored {
  readonly outcomes: readonly Outcome[];
  /** How many kills there are altogether, of which a sample may be some. */
  readonly kills: number;
  /** Every point that any run passed or was killed at. */
  readonly reached: ReadonlySet<string>;
}

/**
 * Kills at every point of a plain order, of its messages and of its payment, each time that it is passed; and where the retry after a kill
 * passes a point that no run before it passed, kills there as well, in a second crash on top of the first (not in a
 * sample).
 */
export async function everyPoint(
  benches: readonly Bench[],
  options: DemoOptions,
  heard: (outcome: Outcome) => void,
): Promise<Explored> {
  const customers: CustomerOptions = { keepsKeys: options.keepsKeys };
  const path = (await plainPath(benches[0]!, customers)).filter((point) => !isByTheClock(point));
  const reached = new Set([...path.map(nameOf), ...RENEWALS]);
  const { order, messages, payment } = partsOf(path);
  const all = [
    order.map((point): Kill => ({ at: [point] })),
    messages.map((point): Kill => ({ at: [point] })),
    [
      ...payment.map((point): Kill => ({ at: [point] })),
      ...RENEWALS.map((point): Kill => ({ at: [point], card: 'slow' })),
      ...PAYMENTS_POINTS.map((point): Kill => ({ at: [point] })),
    ],
  ];
  const asked = all.map((kills) => kills.filter(({ at }) => isAsked(at, options.points)));
  const kills = [...asked.flatMap((some) => sampled(some, options)), ...severalCrashes(options.points)];
  const outcomes = await inLanes(benches, kills, async (bench, kill, more) => {
    const [first = ''] = kill.at;
    const outcome = PAYMENTS_POINTS.includes(first)
      ? await paymentsDie(bench, first, customers)
      : await oneOrder(bench, kill, { ...customers, ...(kill.card !== undefined && { card: kill.card }) });
    heard(outcome);
    for (const point of outcome.passed) {
      if (reached.has(nameOf(point)) || isByTheClock(point)) continue;
      reached.add(nameOf(point));
      if (options.keepsKeys && options.sample === undefined) more({ ...kill, at: [...kill.at, point] });
    }
    return outcome;
  });
  if (options.points.length > 0 || !options.keepsKeys) return { outcomes, kills: all.flat().length, reached };
  const undone = await givenBack(benches, options, path, heard);
  for (const point of undone.reached) reached.add(nameOf(point));
  return { outcomes: [...outcomes, ...undone.outcomes], kills: all.flat().length + undone.kills, reached };
}

/**
 * The order is cancelled while the app is dead, after the card was charged: the retry ends in a refusal and gives the
 * charge back. From the first point on that an ordinary payment does not pass, it is killed at each of them as well.
 */
async function givenBack(
  benches: readonly Bench[],
  options: DemoOptions,
  path: readonly string[],
  heard: (outcome: Outcome) => void,
): Promise<Explored> {
  const charged = path.indexOf('PaymentsService.charge:after#1');
  const saved = path.slice(charged).find((point) => nameOf(point) === 'storage.saveStep:after');
  if (charged < 0 || saved === undefined) throw new Error('No payment keeps what was charged as a step.');
  const run = async (bench: Bench, further: readonly string[]): Promise<Outcome> => {
    const kill: Kill = { at: [saved, ...further], cancelled: true };
    const outcome = await oneOrder(bench, kill, { keepsKeys: true });
    heard(outcome);
    return outcome;
  };
  const first = await run(benches[0]!, []);
  const names = new Set(path.map(nameOf));
  const passed = first.passed.filter((point) => !isByTheClock(point));
  const undoing = passed.slice(passed.findIndex((point) => !names.has(nameOf(point))));
  const kills = sampled(undoing, { ...options, sample: options.sample && 1 });
  const outcomes = await inLanes(benches, kills, (bench, point) => run(bench, [point]));
  return { outcomes: [first, ...outcomes], kills: 1 + undoing.length, reached: new Set(undoing) };
}

/** What the relay of the outbox calls, and in which all consumers do what they do. */
const PUBLISHES = 'MessagePublisher.publish';

/** The customer pays when all messages of the order are through. */
function partsOf(path: readonly string[]): Record<'order' | 'messages' | 'payment', readonly string[]> {
  const from = path.findIndex((point) => nameOf(point) === `${PUBLISHES}:before`);
  const to = path.findLastIndex((point) => nameOf(point) === `${PUBLISHES}:after`) + 1;
  if (from < 0 || to < from) throw new Error(`No message of the order leaves the outbox by ${PUBLISHES}.`);
  return { order: path.slice(0, from), messages: path.slice(from, to), payment: path.slice(to) };
}

/** They are passed when a third of the lease is over, and so only by a request that takes longer. */
const RENEWALS = ['storage.renew:before', 'storage.renew:after'];

const isByTheClock = (point: string): boolean => RENEWALS.includes(nameOf(point));

const nameOf = (point: string): string => point.replace(/#\d+$/, '');

/** `storage.claim:before` is all of its visits. */
const isAsked = (at: readonly string[], points: readonly string[]): boolean =>
  points.length === 0 || at.some((point) => points.includes(point) || points.includes(nameOf(point)));

/** `a,b`: a crash at `a`, and one at `b` in the retry. */
function severalCrashes(points: readonly string[]): Kill[] {
  return points
    .map((point) => point.split(','))
    .filter(({ length }) => length > 1)
    .map((at) => ({ at }));
}

/** So many of them, spread evenly; another offset gives others. */
function sampled<T>(all: readonly T[], { sample, offset }: DemoOptions): readonly T[] {
  if (sample === undefined || sample >= all.length) return all;
  const step = all.length / sample;
  return Array.from({ length: sample }, (_, at) => all[(Math.floor(at * step) + offset) % all.length] as T);
}
