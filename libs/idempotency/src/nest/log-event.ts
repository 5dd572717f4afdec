import type { LoggerService } from '@nestjs/common';
import type { IdempotencyEvent, IdempotencyEventType } from '../core/engine-events.js';
import { keyHash } from '../core/record-id.js';

type Level = 'warn' | 'error';

/** What an operator should read; everything else is on `events$`. */
const LINES: Readonly<Partial<Record<IdempotencyEventType, readonly [Level, string]>>> = {
  'taken-over': [
    'warn',
    'An earlier run ended without an outcome (a crash, or a lease that ran out); this one takes its place.',
  ],
  abandoned: [
    'warn',
    'An earlier run ended without an outcome, and nobody may run until `resolve()` decides.',
  ],
  'lease-lost': [
    'warn',
    'Lost the lease. Raise `lease`, or make the handler stop on `op.signal`; the handler may run twice.',
  ],
  superseded: [
    'warn',
    'Finished after another run had taken over: the other run’s outcome stays, this one was not stored.',
  ],
  unrecorded: [
    'error',
    'The outcome could not be stored in time; the answer went out and the write is tried again.',
  ],
  'outcome-dropped': ['error', 'The outcome was never stored: a retry will run the handler again.'],
  'commit-failed': [
    'warn',
    'The writes of a handler and its record are not known to have committed; its client was told to send the request again.',
  ],
  'undo-failed': ['error', 'A step could not be undone; the record stays open, and a retry goes on with it.'],
  'storage-failed': ['warn', 'The idempotency storage failed or did not answer in time.'],
  'record-unreadable': [
    'error',
    'The stored record cannot be read; it is neither replayed nor run again. Look at it, then `forget()` it.',
  ],
  'codec-failed': [
    'error',
    'The `codec` failed or did not answer in time: an outcome is kept without its body, or a record cannot be read now.',
  ],
  unprotected: ['warn', 'The handler ran without protection.'],
};

/** One line per event that matters, with the operation and a hash of scope and key; never the key itself. */
export function logEvent(logger: LoggerService, event: IdempotencyEvent): void {
  const line = LINES[event.type];
  // Without a key where none is required: a matter for counters, not for the log of every such request.
  const chosen = event.type === 'unprotected' && event.error === undefined;
  if (line === undefined || chosen) return;
  const [level, text] = line;
  const who =
    event.id === ''
      ? ''
      : ` [${event.operation}, record ${keyHash(event.id)}${attempt(event)}${correlation(event)}]`;
  const cause = event.error instanceof Error ? ` Cause: ${event.error.message}` : '';
  logger[level](`${text}${who}${cause}`);
}

function correlation({ correlationId }: IdempotencyEvent): string {
  return correlationId === undefined ? '' : `, correlation ${correlationId}`;
}

function attempt(event: IdempotencyEvent): string {
  return event.attempt === undefined ? '' : `, attempt ${event.attempt}`;
}
