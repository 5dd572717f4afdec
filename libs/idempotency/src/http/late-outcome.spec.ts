import { describe, expect, it } from '@jest/globals';
import { RecordUnreadableError } from '../core/errors.js';
import { encodeValue } from '../core/plain-value.js';
import { LATE_STEP, lateOutcomeIn } from './late-outcome.js';

function stepsWith(late: unknown): Map<string, Uint8Array> {
  return new Map([[LATE_STEP, encodeValue(late) ?? new Uint8Array(0)]]);
}

describe('lateOutcomeIn', () => {
  it('is undefined where no earlier attempt has left one', () => {
    expect(lateOutcomeIn(new Map([['charge', Buffer.from('{}')]]))).toBeUndefined();
  });

  it.each([{ id: 1 }, null, '', 0, false, [1]])(
    'is the value %j that an earlier attempt returned',
    (value) => {
      expect(lateOutcomeIn(stepsWith({ phase: 'returned', value }))).toEqual({ phase: 'returned', value });
    },
  );

  it('is undefined as a value where the handler returned nothing', () => {
    expect(lateOutcomeIn(stepsWith({ phase: 'returned', value: undefined }))).toEqual({
      phase: 'returned',
      value: undefined,
    });
  });

  it('is the emissions of an Observable that had none or several', () => {
    for (const emissions of [[], [1, 2]]) {
      expect(lateOutcomeIn(stepsWith({ phase: 'returned', emissions }))).toEqual({
        phase: 'returned',
        emissions,
      });
    }
  });

  it.each(['text', { message: 'no' }])('is the error %j that an earlier attempt threw', (response) => {
    expect(lateOutcomeIn(stepsWith({ phase: 'threw', status: 409, response }))).toEqual({
      phase: 'threw',
      status: 409,
      response,
    });
  });

  it.each([
    null,
    1,
    {},
    { phase: 'other' },
    { phase: 'threw' },
    { phase: 'threw', status: 409, response: null },
  ])('is unreadable when %j is stored', (late) => {
    expect(() => lateOutcomeIn(stepsWith(late))).toThrow(RecordUnreadableError);
  });

  it('is unreadable when it is not JSON', () => {
    expect(() => lateOutcomeIn(new Map([[LATE_STEP, Buffer.from('{')]]))).toThrow(RecordUnreadableError);
  });
});
