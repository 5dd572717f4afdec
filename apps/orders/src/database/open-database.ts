import type { DataSource } from 'typeorm';
import { withoutPassword } from '../../../shared/src/start/environment.js';
import { StartError } from '../../../shared/src/start/start-error.js';
import { dataSourceFor } from './data-source.js';
import { migrate } from './migrate.js';

export interface OpenDatabase {
  readonly dataSource: DataSource;
  /** Names of the migrations that this start has run; empty when the schema was up to date. */
  readonly migrated: readonly string[];
}

/** Connects, and brings the schema up to date. */
export async function openDatabase(url: string): Promise<OpenDatabase> {
  const dataSource = dataSourceFor(url);
  try {
    await dataSource.initialize();
  } catch (cause) {
    throw new StartError(
      `The database ${withoutPassword(url)} does not let us in: ${reasonOf(cause)}. Check DATABASE_URL, or leave it out ` +
        'to use the embedded PostgreSQL.',
      { cause },
    );
  }
  try {
    return { dataSource, migrated: await migrate(dataSource) };
  } catch (error) {
    await dataSource.destroy();
    throw error;
  }
}

/** A host with two addresses fails with an AggregateError, whose own message is empty. */
function reasonOf(error: unknown): string {
  const causes: unknown[] = error instanceof AggregateError ? error.errors : [error];
  return causes.map((cause) => (cause instanceof Error ? cause.message : String(cause))).join(', ');
}
