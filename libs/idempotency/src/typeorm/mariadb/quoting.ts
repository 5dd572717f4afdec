import type { TableName } from '../table-name.js';

export function quoteTable({ schema, name }: TableName): string {
  return schema === undefined ? quote(name) : `${quote(schema)}.${quote(name)}`;
}

export function quote(identifier: string): string {
  return `\`${identifier.replaceAll('`', '``')}\``;
}
