import type { ContractCase, ContractHarness } from '../../libs/idempotency/src/testing/index.js';

const AT_ONCE = 8;

/**
 * Runs a contract of which most is waiting, several clauses at a time, and says what broke. Clauses of `purge` look at
 * all records, so they come one by one at the end.
 */
export async function brokenClauses(
  clauses: readonly ContractCase[],
  harness: ContractHarness,
): Promise<readonly string[]> {
  const broken: string[] = [];
  const run = async (clause: ContractCase | undefined) =>
    clause
      ?.run(harness)
      .catch(
        (error: unknown) =>
          void broken.push(`${clause.name}: ${error instanceof Error ? error.message : String(error)}`),
      );
  const alone = clauses.filter(({ name }) => name.startsWith('purge:'));
  const rest = clauses.filter((clause) => !alone.includes(clause));
  const worker = async () => {
    while (rest.length > 0) await run(rest.shift());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  for (const clause of alone) await run(clause);
  return broken;
}
