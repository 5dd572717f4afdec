import { describe, expect, it } from '@jest/globals';
import { correlationIdFrom, correlationIdOf } from './correlation-id.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

describe('A correlation id', () => {
  it.each([
    ['the trace id of `traceparent`', ['traceparent', `00-${TRACE}-${PARENT}-01`], TRACE],
    ['it whatever the case of the header', ['TraceParent', `00-${TRACE}-${PARENT}-00`], TRACE],
    ['it of a later version, which may say more', ['traceparent', `01-${TRACE}-${PARENT}-01-more`], TRACE],
    ['it before `x-request-id`', ['x-request-id', 'r1', 'traceparent', `00-${TRACE}-${PARENT}-01`], TRACE],
    ['`x-request-id`', ['X-Request-Id', 'r-1/2'], 'r-1/2'],
    ['that beside a malformed `traceparent`', ['traceparent', 'x', 'x-request-id', 'r1'], 'r1'],
  ])('is %s', (_what, headers, id) => {
    expect(correlationIdFrom(headers)).toBe(id);
  });

  it.each([
    ['no header', []],
    ['the version that does not exist', ['traceparent', `ff-${TRACE}-${PARENT}-01`]],
    ['a trace id of zeros', ['traceparent', `00-${'0'.repeat(32)}-${PARENT}-01`]],
    ['a parent of zeros', ['traceparent', `00-${TRACE}-${'0'.repeat(16)}-01`]],
    ['upper case', ['traceparent', `00-${TRACE.toUpperCase()}-${PARENT}-01`]],
    ['two of them', ['traceparent', `00-${TRACE}-${PARENT}-01`, 'traceparent', `00-${TRACE}-${PARENT}-01`]],
    ['an empty request id', ['x-request-id', '']],
    ['one that is too long', ['x-request-id', 'a'.repeat(129)]],
    ['one with a space in it, which would look like two in a log', ['x-request-id', 'a b']],
    ['one with a line break', ['x-request-id', 'a\nb']],
    ['one beyond ASCII', ['x-request-id', 'é']],
  ])('is new for %s', (_what, headers) => {
    const id = correlationIdFrom(headers);
    expect(id).toMatch(UUID);
    expect(correlationIdFrom(headers)).not.toBe(id);
  });

  it('that is given by hand must look like one', () => {
    expect(correlationIdOf('job-7')).toBe('job-7');
    expect([correlationIdOf('a b'), correlationIdOf(7), correlationIdOf(undefined)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
