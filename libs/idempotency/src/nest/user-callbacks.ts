import { belongsToExchange } from '../http/replayable-headers.js';
import { defaultRecordPolicy, type RecordPolicy } from '../http/retention.js';
import type { IdempotencyRuntime } from './idempotency-runtime.js';
import { IdempotencyException } from './problems.js';
import type { ResolvedOptions } from './resolve-options.js';

type Callbacks = Pick<ResolvedOptions, 'record' | 'keepsHeader'>;

/** A user's callbacks as they may be called where the request must go on: the handler has run, whatever they do. */
export function guarded({ record, keepsHeader }: Callbacks, runtime: IdempotencyRuntime): Callbacks {
  return {
    record: record === defaultRecordPolicy ? ownPolicy : checked(record),
    keepsHeader: (name) => {
      try {
        return keepsHeader(name);
      } catch (error) {
        runtime.onFailure(error);
        return !belongsToExchange(name);
      }
    },
  };
}

/** A refusal of ours in the handler's name (`IdempotencyService.run()` in it) that says when to come again is not final. */
const ownPolicy: RecordPolicy = (outcome) => {
  const { error } = outcome;
  const again = error instanceof IdempotencyException && error.retryAfter !== undefined;
  return again ? 'release' : defaultRecordPolicy(outcome);
};

/** What it throws makes way for the default, and is logged. */
function checked(record: RecordPolicy): RecordPolicy {
  return (outcome) => {
    const decision: unknown = record(outcome);
    if (decision === 'keep' || decision === 'release') return decision;
    const got = decision instanceof Promise ? 'a promise' : String(decision);
    throw new TypeError(`\`record\` must answer 'keep' or 'release' at once; it answered ${got}.`);
  };
}
