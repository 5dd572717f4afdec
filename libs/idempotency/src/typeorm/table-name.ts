import { InvalidOptionsError } from '../core/errors.js';

export interface TableName {
  readonly schema: string | undefined;
  readonly name: string;
}

export const DEFAULT_TABLE = 'idempotency_records';

/** 63 is what PostgreSQL keeps of a name; the longest suffix of ours, `_expires_at`, must fit behind it. */
const MAX_NAME_LENGTH = 63 - '_expires_at'.length;

/** @param asked who has asked for a name, and one that would do, for the message */
export function parseTableName(
  text: string,
  asked = { by: 'typeOrmStorage', example: DEFAULT_TABLE },
): TableName {
  const match = /^(?:([A-Za-z_][\w$]*)\.)?([A-Za-z_][\w$]*)$/.exec(text);
  const [, schema, name] = match ?? [];
  if (name === undefined || name.length > MAX_NAME_LENGTH || (schema?.length ?? 0) > 63) {
    throw new InvalidOptionsError(
      `${asked.by}: \`table\` is '${text}', which is not a table name. Use letters, digits and _ (at most ${MAX_NAME_LENGTH}), ` +
        `if need be behind a schema and a dot: '${asked.example}' or 'app.${asked.example}'.`,
    );
  }
  return { schema, name };
}

/** For SQL. Only the characters that `parseTableName` lets through need no escaping, but names from TypeORM come here too. */
export function quoteTable({ schema, name }: TableName): string {
  return schema === undefined ? quote(name) : `${quote(schema)}.${quote(name)}`;
}

export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

/** For people. */
export function describeTable({ schema, name }: TableName): string {
  return schema === undefined ? name : `${schema}.${name}`;
}
