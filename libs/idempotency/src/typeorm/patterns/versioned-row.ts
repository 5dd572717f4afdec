import type { EntityMetadata, ObjectLiteral } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import { sameRow, uniqueColumnsOf } from './unique-columns.js';

type ColumnMetadata = EntityMetadata['columns'][number];

/** The one row that a versioned change is about. */
export interface VersionedRow {
  readonly criteria: ObjectLiteral;
  /** What of the criteria tells it from all others, whatever else the change makes of it. */
  readonly key: ObjectLiteral;
  readonly versionColumn: ColumnMetadata;
}

/** @throws InvalidOptionsError where the change could hit more than one row, or its version could not be compared */
export function checkVersioned(
  metadata: EntityMetadata,
  criteria: ObjectLiteral,
  changes: ObjectLiteral,
): VersionedRow {
  const { name, versionColumn } = metadata;
  if (versionColumn === undefined) {
    throw refused(`${name} has no @VersionColumn(), so nobody can tell whether it has changed. Add one`);
  }
  for (const [property, value] of Object.entries(criteria)) {
    // TypeORM may take it for "whatever it is", and then the row of somebody else would be changed.
    if (value === undefined || value === null)
      throw refused(`\`${property}\` of the criteria is ${String(value)}. Give a value, or IsNull()`);
  }
  const candidates = uniqueColumnsOf(metadata).filter(({ where }) => where === undefined);
  const found = candidates.flatMap((unique) => {
    const key = unique.columns.some((column) => isOperator(column.getEntityValue(criteria)))
      ? undefined
      : sameRow(unique, criteria);
    return key === undefined ? [] : [{ unique, key }];
  })[0];
  if (found === undefined) {
    const known = candidates.map(({ paths }) => `(${paths.join(', ')})`).join(', ');
    throw refused(
      `the criteria could be met by more than one ${name}. Give the values of its primary key or of a unique index: ${known}`,
    );
  }
  const changed = [...found.unique.columns, versionColumn].find(
    (column) => column.getEntityValue(changes) !== undefined,
  );
  if (changed !== undefined) {
    throw refused(
      changed === versionColumn
        ? `\`${changed.propertyPath}\` is raised by every change; leave it out of the changes`
        : `\`${changed.propertyPath}\` says which row is meant, so it cannot be changed along with it`,
    );
  }
  if (versionColumn.getEntityValue(criteria) !== undefined) {
    throw refused(`give the version as \`expectedVersion\`, not as a part of the criteria`);
  }
  return { criteria, key: found.key, versionColumn };
}

function isOperator(value: unknown): boolean {
  return typeof value === 'object' && value !== null && '@instanceof' in value;
}

function refused(what: string): InvalidOptionsError {
  return new InvalidOptionsError(`updateVersioned: ${what}.`);
}
