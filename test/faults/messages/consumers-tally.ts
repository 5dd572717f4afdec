import { PREFETCH } from './consumer-settings.js';
import type { CountedEffects } from './consumers-database.js';

export interface ConsumersOptions {
  readonly messages: number;
  readonly processes: number;
  readonly kills: number;
  readonly seed: number;
  /** Without: the same consumers without `@Idempotent()`. */
  readonly keys: 'with' | 'without';
  readonly lease: string;
  readonly storageTimeout: string;
  /** What holds for so long that nothing moves is given up. */
  readonly stuckAfterMs: number;
}

/** What the processes have said. */
export const FACTS = [
  'delivered',
  'redelivered',
  'acked',
  'requeued',
  'refused',
  'ran stock',
  'ran mail',
] as const;
export type Fact = (typeof FACTS)[number];

export interface ConsumersTally extends CountedEffects {
  readonly messages: number;
  readonly published: number;
  readonly facts: Readonly<Record<Fact, number>>;
  readonly kills: ReadonlyMap<string, number>;
  readonly left: number;
  readonly deadLetters: number;
  readonly seconds: number;
  /** What is not as it was promised; empty when all is well. */
  readonly broken: readonly string[];
  /** What the processes have complained of, for a run that failed. */
  readonly complaints: string;
}

/** What is not as it was promised. */
export function brokenPromises(
  tally: Omit<ConsumersTally, 'broken'>,
  options: ConsumersOptions,
): readonly string[] {
  const { stock, mails, wrongUnits, repeatedCalls, left, deadLetters, kills } = tally;
  const done = [...kills.values()].reduce((sum, count) => sum + count, 0);
  const broken: Record<string, boolean> = {
    'stock moves that are not there once each': stock.once !== options.messages || stock.invented > 0,
    'a stock that does not fit its messages': wrongUnits !== 0,
    'mails that were not sent once each': mails.once !== options.messages || mails.invented > 0,
    'more repeated calls than handlers were killed': repeatedCalls > done * PREFETCH,
    'messages that were left behind': left > 0,
    'dead letters': deadLetters > 0,
    'fewer kills than planned': done !== options.kills,
  };
  return Object.keys(broken).filter((promise) => broken[promise]);
}
