import { TransactionMisusedError } from './errors.js';

/** From the weakest to the strongest. */
export const ISOLATIONS = ['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const;

/** @throws TransactionMisusedError when `given` promises less than `wanted` */
export function assertAtLeast(given: string, wanted: string): void {
  if (rank(given) >= rank(wanted)) return;
  throw new TransactionMisusedError(
    `A transaction of isolation ${wanted} is asked for inside a handler's transaction of ${given}, in which it would only be a savepoint. ` +
      `Set \`transactional: { isolation: '${wanted}' }\`, or run it in \`outsideTransaction()\`.`,
  );
}

/** Databases write them with spaces or hyphens. */
function rank(isolation: string): number {
  const name = isolation.toUpperCase().replaceAll('-', ' ');
  return (ISOLATIONS as readonly string[]).indexOf(name);
}
