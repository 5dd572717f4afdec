import type { ObjectLiteral, QueryRunner, Repository } from 'typeorm';
import { dataSourceOf } from './connection.js';

/**
 * The entity of a row as the database has answered it: embedded entities, transformers and load listeners as if TypeORM had
 * selected it. Relations are not loaded, as after `save()`.
 */
export async function hydrate<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  runner: QueryRunner,
  row: ObjectLiteral,
): Promise<Entity> {
  const { metadata } = repository;
  const { driver } = dataSourceOf(repository);
  const entity = metadata.create(runner, { fromDeserializer: true }) as Entity;
  for (const column of metadata.columns) {
    if (column.isVirtual || !column.isSelect || !(column.databaseName in row)) continue;
    const value: unknown = driver.prepareHydratedValue(row[column.databaseName], column);
    column.setEntityValue(entity, value);
  }
  await runner.broadcaster.broadcast('Load', metadata, [entity]);
  return entity;
}
