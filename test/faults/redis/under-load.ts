import type { ClientSpec } from './clients.js';
import { startEffectsApps } from './effects-apps.js';
import { Load } from './load.js';
import { anyKeys } from './keys.js';
import type { Tally } from './tally.js';

export interface LoadRun {
  readonly client: Pick<ClientSpec, 'kind' | 'ports'>;
  /** Options of `redisStorage` beside the client. */
  readonly storage?: object;
  /** Options of the module. */
  readonly options?: object;
  readonly keys?: Iterable<string>;
  /** What happens meanwhile. */
  readonly faults: (load: Load) => Promise<void>;
}

export interface LoadResult extends Tally {
  /** Keys for which the apps do not give the same answer when all is over. */
  readonly disagreeing: number;
}

/** Two processes and many clients, who go on sending keys until the faults are over. */
export async function underLoad({
  client,
  storage = {},
  options = {},
  keys = anyKeys(),
  faults,
}: LoadRun): Promise<LoadResult> {
  const apps = await startEffectsApps(client, storage, options);
  const load = new Load({ ...apps, keys });
  try {
    await faults(load);
    // As many as there are, when they have an end.
    await load.finish(keys instanceof Array ? Infinity : 0);
    const disagreeing = await load.sendAllAgain();
    return { ...load.tally(), disagreeing };
  } finally {
    await load.stop();
    await apps.stop();
  }
}

/** What is promised where no record can be lost. */
export function onceAndOneAnswer({ keys }: Tally): Partial<LoadResult> {
  return {
    executionsPerKey: { 1: keys },
    answersPerKey: { 1: keys },
    inventedAnswers: 0,
    unanswered: [],
    disagreeing: 0,
  };
}

/** What holds even where a failover loses records: every client gets an answer in the end, and later ones the same. */
export const ANSWERED: Partial<LoadResult> = { inventedAnswers: 0, unanswered: [], disagreeing: 0 };
