import type { Row } from '../rows.js';
import { messageOf } from '../unavailable.js';
import type { ClaimedMessage, DeadLetter } from './outbox-table.js';

/** A row that somebody has changed by hand may hold anything. */
export type ReadRow =
  | { readonly kind: 'readable'; readonly aggregate: string | undefined; readonly message: ClaimedMessage }
  | { readonly kind: 'unreadable'; readonly aggregate: string | undefined; readonly why: string };

export function claimedOf(row: Row): ReadRow {
  const aggregate = textIn(row, 'aggregate');
  try {
    const payload = JSON.parse(textIn(row, 'payload') ?? '') as unknown;
    const message = { ...knownOf(row), payload, headers: headersIn(row) };
    return {
      kind: 'readable',
      aggregate,
      message: { ...message, attempt: numberIn(row, 'attempts'), sequence: sequenceOf(row) },
    };
  } catch (error) {
    return { kind: 'unreadable', aggregate, why: `What is stored is no JSON: ${messageOf(error)}` };
  }
}

/** What cannot be read is shown as it is stored. */
export function deadLetterOf(row: Row): DeadLetter {
  const read = claimedOf(row);
  const content =
    read.kind === 'readable'
      ? { payload: read.message.payload, headers: read.message.headers }
      : { payload: textIn(row, 'payload'), headers: {} };
  return {
    ...knownOf(row),
    ...content,
    attempts: numberIn(row, 'attempts'),
    error: textIn(row, 'error') ?? '',
    diedAt: new Date(numberIn(row, 'died_ms')),
    heldBack: numberIn(row, 'held_back'),
  };
}

function knownOf(row: Row) {
  return {
    id: textIn(row, 'id') ?? '',
    pattern: textIn(row, 'pattern') ?? '',
    aggregate: textIn(row, 'aggregate'),
    correlationId: textIn(row, 'correlation_id') ?? '',
    addedAt: new Date(numberIn(row, 'added_ms')),
  };
}

function headersIn(row: Row): Readonly<Record<string, string>> {
  return JSON.parse(textIn(row, 'headers') ?? '') as Record<string, string>;
}

export function sequenceOf(row: Row): string {
  return textIn(row, 'sequence') ?? '';
}

/** By `sequence`, whatever order a change has answered in. */
export function inOrder(rows: readonly Row[]): readonly Row[] {
  return [...rows].sort((one, other) => compareSequences(sequenceOf(one), sequenceOf(other)));
}

export function compareSequences(one: string, other: string): number {
  const [left, right] = [BigInt(one), BigInt(other)];
  return left < right ? -1 : Number(left > right);
}

/** MariaDB's names are bytes. */
export function textIn(row: Row, column: string): string | undefined {
  const value = row[column];
  if (value === null || value === undefined) return undefined;
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  return typeof value === 'bigint' || typeof value === 'number' ? value.toString() : (value as string);
}

/** Drivers make numbers, texts or bigints of numbers, as they are told. */
export function numberIn(row: Row | undefined, column: string): number {
  return Number(row?.[column] ?? 0);
}
