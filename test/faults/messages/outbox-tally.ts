import type { Halt } from './broker-restarts.js';
import type { DeliveredCounts } from './delivered-messages.js';

export interface OutboxRunOptions {
  readonly messages: number;
  readonly aggregates: number;
  readonly writers: number;
  readonly relays: number;
  readonly kills: number;
  /** How the broker is ended in the middle of it, each time. */
  readonly halts: readonly Halt[];
  readonly brokerAwayMs: number;
  readonly seed: number;
  readonly lease: string;
  readonly publishTimeout: string;
  /** When nothing has moved for so long, it is given up. */
  readonly stuckAfterMs: number;
}

export const FACTS = ['published', 'not published'] as const;
export type Fact = (typeof FACTS)[number];

export interface OutboxTally extends DeliveredCounts {
  readonly written: number;
  readonly transactions: number;
  /** Messages that were added in transactions which were rolled back. */
  readonly rolledBack: number;
  readonly facts: Readonly<Record<Fact, number>>;
  readonly kills: ReadonlyMap<string, number>;
  /** How often the broker was away and came back. */
  readonly restarts: number;
  /** Left in the table. */
  readonly waiting: number;
  readonly dead: number;
  readonly seconds: number;
  /** What is not as it was promised; empty when all is well. */
  readonly broken: readonly string[];
  /** What the processes have complained of, for a run that failed. */
  readonly complaints: string;
}

/** What is not as it was promised; empty when all is well. */
export function brokenPromises(
  tally: Omit<OutboxTally, 'broken'>,
  options: OutboxRunOptions,
): readonly string[] {
  const { written, missing, invented, outOfOrder, altered, waiting, dead, rolledBack, kills, restarts } =
    tally;
  const done = [...kills.values()].reduce((sum, count) => sum + count, 0);
  const broken: Record<string, boolean> = {
    'fewer messages than planned': written !== options.messages,
    'messages that were not delivered': missing > 0,
    'messages of nobody, or of a transaction that was rolled back': invented > 0,
    'no transaction that was rolled back': rolledBack === 0,
    'messages before an older one of their aggregate': outOfOrder > 0,
    'messages that were changed on the way': altered > 0,
    'messages that were left in the table': waiting + dead > 0,
    'fewer kills or restarts than planned': done !== options.kills || restarts !== options.halts.length,
  };
  return Object.keys(broken).filter((promise) => broken[promise]);
}
