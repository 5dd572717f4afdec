import { InvalidOptionsError } from '../core/errors.js';
import { keyProblem } from '../core/key.js';
import { encodeValue } from '../core/plain-value.js';
import { correlationIdOf, newCorrelationId } from '../nest/correlation-id.js';
import { runningExecution } from '../nest/running-execution.js';
import { systemRandomness } from '../nest/system-ports.js';
import type { NewOutboxMessage } from '../typeorm/outbox/message.js';
import type { MessageRow } from '../typeorm/outbox/outbox-table.js';

/** A message as it is now, for the table. @throws InvalidOptionsError for one that could not be sent, or not be told from others */
export function rowOf(message: NewOutboxMessage): MessageRow {
  if (typeof message !== 'object' || message === null) throw refused('a message must be an object');
  const { pattern, payload, aggregate, id = systemRandomness.uuid(), headers = {} } = message;
  checkText('pattern', pattern);
  if (aggregate !== undefined) checkText('aggregate', aggregate);
  const problem = typeof id === 'string' ? keyProblem(id, undefined, undefined) : 'it is no string';
  if (problem !== undefined)
    throw refused(`\`id\` cannot be used: ${problem}. Consumers use it as their key`);
  if (id.endsWith(' ')) throw refused('`id` cannot be used: it ends in a space');
  const bytes = payload === undefined ? undefined : encodeValue(payload);
  if (bytes === undefined) {
    throw refused(
      '`payload` must be plain data that survives JSON: no instances of classes, Dates, functions or cycles, and not undefined. Say in it what consumers need, not the entity',
    );
  }
  return {
    id,
    pattern,
    aggregate,
    payload: Buffer.from(bytes).toString('utf8'),
    headers: headersText(headers),
    correlationId: correlationFor(message),
  };
}

/** What the columns hold on MariaDB. */
const MAX_BYTES = 255;

/** It stands in lines of logs, and comes out of the table as it went in. Databases may ignore spaces at the end. */
function checkText(name: string, text: unknown): void {
  const fits =
    typeof text === 'string' &&
    text !== '' &&
    !/\s$|[\p{Cc}\p{Cs}]/u.test(text) &&
    Buffer.byteLength(text) <= MAX_BYTES;
  if (fits) return;
  throw refused(
    `\`${name}\` must be a string of 1 to ${MAX_BYTES} bytes, without control characters, halves of a character, or a space at its end`,
  );
}

function headersText(headers: unknown): string {
  const isRecord = typeof headers === 'object' && headers !== null && !Array.isArray(headers);
  // RFC 9110 section 5.6.2 for names; brokers allow no less. A line break in a value would begin another header.
  const areFine =
    isRecord &&
    Object.entries(headers).every(
      ([name, value]) =>
        /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && typeof value === 'string' && !/[\r\n\0]/.test(value),
    );
  if (areFine) return JSON.stringify(headers);
  throw refused(
    '`headers` must be an object of strings without line breaks, under names that headers can have',
  );
}

function correlationFor({ correlationId }: NewOutboxMessage): string {
  if (correlationId === undefined)
    return runningExecution.getStore()?.operation.correlationId ?? newCorrelationId();
  const id = correlationIdOf(correlationId);
  if (id !== undefined) return id;
  throw refused(
    '`correlationId` must be 1 to 128 bytes of printable ASCII without spaces: it stands in logs and headers',
  );
}

function refused(what: string): InvalidOptionsError {
  return new InvalidOptionsError(`outbox.add: ${what}.`);
}
