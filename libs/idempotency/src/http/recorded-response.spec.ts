import { describe, expect, it } from '@jest/globals';
import { RecordUnreadableError } from '../core/errors.js';
import { decodeResult, encodeResult } from '../core/result.js';
import {
  resourceFrom,
  responseFromResult,
  responseToResult,
  type RecordedResponse,
} from './recorded-response.js';

const response: RecordedResponse = {
  status: 201,
  reason: 'Made',
  headers: [
    ['Content-Type', 'text/plain'],
    ['Content-Length', 3],
    ['Link', ['<a>', '<b>']],
  ],
  removed: ['x-powered-by'],
  body: Buffer.from([0, 255, 10]),
  trailers: [['X-Sum', 'ff']],
  framing: 'pieces',
  past: true,
  resource: { type: 'order', id: '1' },
};

describe('a recorded response', () => {
  it('comes back from the storage as it was', () => {
    expect(responseFromResult(decodeResult(encodeResult(responseToResult(response))))).toEqual(response);
  });

  it('comes back without what it did not have', () => {
    const plain = { status: 204, headers: [], body: Buffer.alloc(0), framing: 'none' } as const;
    expect(responseFromResult(decodeResult(encodeResult(responseToResult(plain))))).toEqual({
      ...plain,
      reason: undefined,
      removed: [],
      trailers: [],
      past: false,
      resource: undefined,
    });
  });

  it.each([
    ['status', 99],
    ['status', 1000],
    ['status', 200.5],
    ['status', '200'],
    ['reason', 1],
    ['headers', undefined],
    ['headers', [['a']]],
    ['headers', [['a', null]]],
    ['headers', [[1, 'a']]],
    ['headers', [['a', [1]]]],
    ['trailers', [['a', 1, 2]]],
    ['trailers', 'none'],
    ['removed', 'a'],
    ['removed', [1]],
    ['framing', undefined],
    ['framing', 'other'],
  ])('is unreadable when its %s is %j', (name, value) => {
    const result = responseToResult(response);
    expect(() => responseFromResult({ ...result, meta: { ...result.meta, [name]: value } })).toThrow(
      RecordUnreadableError,
    );
  });
});

describe('resourceFrom', () => {
  it('is the resource in stored JSON', () => {
    expect(resourceFrom({ type: 'order', id: '1', more: true })).toEqual({ type: 'order', id: '1' });
  });

  it.each([undefined, null, 'order', {}, { type: 'order' }, { type: 'order', id: 1 }])(
    'is undefined for %j',
    (value) => {
      expect(resourceFrom(value)).toBeUndefined();
    },
  );
});
