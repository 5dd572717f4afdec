import type { EntityMetadata, ObjectLiteral } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';

type ColumnMetadata = EntityMetadata['columns'][number];

/** Columns of which the database lets no two rows have the same values. */
export interface UniqueColumns {
  /** As the entity names them. */
  readonly paths: readonly string[];
  readonly columns: readonly ColumnMetadata[];
  /** Only rows for which this SQL holds are compared. */
  readonly where: string | undefined;
}

/** The primary key, unique constraints and unique indices that the entity declares. */
export function uniqueColumnsOf({ primaryColumns, uniques, indices }: EntityMetadata): UniqueColumns[] {
  const indexed = indices.filter(({ isUnique }) => isUnique);
  return [
    named(primaryColumns),
    ...uniques.map(({ columns }) => named(columns)),
    ...indexed.map(({ columns, where }) => named(columns, where)),
  ];
}

/** @throws InvalidOptionsError when no such columns are unique: then a row of others could be taken for this one */
export function uniqueColumnsNamed(
  tool: string,
  metadata: EntityMetadata,
  names: readonly string[],
): UniqueColumns {
  const declared = uniqueColumnsOf(metadata);
  const wanted = [...names].sort().join();
  const found = declared.find(({ paths }) => [...paths].sort().join() === wanted);
  if (found !== undefined) return found;
  const known = declared.map(({ paths }) => `(${paths.join(', ')})`).join(', ');
  throw new InvalidOptionsError(
    `${tool}: ${metadata.name} declares no unique index of (${names.join(', ')}), so two rows may have the same values there. Unique are ${known}.`,
  );
}

/** The condition that finds the row with the same values; undefined when one of them is missing, and so like no other. */
export function sameRow({ columns }: UniqueColumns, entity: ObjectLiteral): ObjectLiteral | undefined {
  const condition: ObjectLiteral = {};
  for (const column of columns) {
    const value: unknown = column.getEntityValue(entity);
    if (value === undefined || value === null || typeof value === 'function') return undefined;
    merge(condition, column.createValueMap(value));
  }
  return condition;
}

function named(columns: readonly ColumnMetadata[], where?: string): UniqueColumns {
  return { paths: columns.map(({ propertyPath }) => propertyPath), columns, where };
}

/** Two columns may be of one embedded entity, or of one relation. */
function merge(into: ObjectLiteral, more: ObjectLiteral): void {
  for (const [name, value] of Object.entries(more) as [string, unknown][]) {
    const there: unknown = into[name];
    if (isPlain(there) && isPlain(value)) merge(there, value);
    else into[name] = value;
  }
}

function isPlain(value: unknown): value is ObjectLiteral {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
