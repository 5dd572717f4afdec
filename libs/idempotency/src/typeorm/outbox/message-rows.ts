import type { Row } from '../rows.js';
import type { ClaimedMessage, DeadLetter } from './outbox-table.js';

export function claimedOf(row: Row): ClaimedMessage {
  const known = { ...knownOf(row), attempt: numberIn(row, 'attempts'), sequence: sequenceOf(row) };
  const stored = textIn(row, 'payload') ?? '';
  try {
    return { ...known, payload: JSON.parse(stored) as unknown, headers: headersIn(row) };
  } catch {
    // Somebody has changed it by hand. The parser's words would quote it, in logs as well.
    return { ...known, payload: stored, headers: {}, unreadable: 'what is stored of it is no JSON any more' };
  }
}

/** What cannot be read is shown as it is stored. */
export function deadLetterOf(row: Row): DeadLetter {
  const { payload, headers } = claimedOf(row);
  return {
    ...knownOf(row),
    payload,
    headers,
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
