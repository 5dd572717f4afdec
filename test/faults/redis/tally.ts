/** What clients saw and what happened, per key. Nothing in it is estimated. */
export interface Observed {
  readonly keys: readonly string[];
  readonly requests: number;
  /** How often each answer came that was not final, for example `503` or `no connection`. */
  readonly notFinal: ReadonlyMap<string, number>;
  /** Final answers of each key that claim to be the one answer. */
  readonly answers: ReadonlyMap<string, ReadonlySet<string>>;
  /** Final answers of each key that say of themselves that they may not be: `Idempotency-Status`. */
  readonly marked: ReadonlyMap<string, ReadonlySet<string>>;
  /** Handler runs of each key, by the id of the run. */
  readonly effects: ReadonlyMap<string, readonly string[]>;
}

export interface Tally {
  readonly keys: number;
  readonly requests: number;
  /** How many keys had so many handler runs. `{ 1: keys }` is the promise. */
  readonly executionsPerKey: Readonly<Record<number, number>>;
  /** How many keys have so many different answers that are not marked. */
  readonly answersPerKey: Readonly<Record<number, number>>;
  /** Keys with an answer that is marked as superseded or unrecorded. */
  readonly markedKeys: number;
  /** Answers that no run of the handler gave. */
  readonly inventedAnswers: number;
  /** Keys that some client got no final answer for. */
  readonly unanswered: readonly string[];
  /** For people, on one line. */
  readonly summary: string;
}

export function tallyOf(observed: Observed, unanswered: readonly string[]): Tally {
  const { keys, requests, answers, marked, effects, notFinal } = observed;
  const executionsPerKey = countBy(keys, (key) => effects.get(key)?.length ?? 0);
  const answersPerKey = countBy(keys, (key) => answers.get(key)?.size ?? 0);
  const markedKeys = keys.filter((key) => (marked.get(key)?.size ?? 0) > 0).length;
  const inventedAnswers = keys
    .flatMap((key) => [...(answers.get(key) ?? []), ...(marked.get(key) ?? [])].map((run) => ({ key, run })))
    .filter(({ key, run }) => effects.get(key)?.includes(run) !== true).length;
  const differing = keys.filter((key) => (answers.get(key)?.size ?? 0) > 1).length;
  const summary = [
    `keys ${number(keys.length)}`,
    `requests ${number(requests)} (${[...notFinal]
      .sort()
      .map(([what, count]) => `${what}: ${number(count)}`)
      .join(', ')})`,
    `executions per key: ${histogram(executionsPerKey)}`,
    `answers per key: ${differing === 0 ? 'all equal' : `${differing} differ`}`,
    `marked superseded or unrecorded: ${markedKeys}`,
    `without an answer: ${unanswered.length}`,
  ].join(' · ');
  return {
    keys: keys.length,
    requests,
    executionsPerKey,
    answersPerKey,
    markedKeys,
    inventedAnswers,
    unanswered,
    summary,
  };
}

function countBy(keys: readonly string[], of: (key: string) => number): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const key of keys) counts[of(key)] = (counts[of(key)] ?? 0) + 1;
  return counts;
}

function histogram(counts: Readonly<Record<number, number>>): string {
  return Object.entries(counts)
    .map(([value, count]) => `${value} × ${number(count)}`)
    .join(', ');
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}
