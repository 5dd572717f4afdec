import { describe, expect, it } from '@jest/globals';
import {
  checkHeaders,
  discardedHeaders,
  headerList,
  ownReason,
  removedHeaders,
  writtenHeaders,
} from './header-list.js';
import type { RecordedResponse } from './recorded-response.js';

describe('headerList', () => {
  it('has values as they go out', () => {
    const entries: [string, unknown][] = [
      ['a', 'text'],
      ['b', 1],
      ['c', true],
      ['d', ['x', 2]],
      ['e', undefined],
    ];
    expect(headerList(entries)).toEqual([
      ['a', 'text'],
      ['b', 1],
      ['c', 'true'],
      ['d', ['x', '2']],
    ]);
  });
});

describe('writtenHeaders', () => {
  it('reads an object', () => {
    expect(writtenHeaders({ A: '1', B: ['2', '3'], C: undefined })).toEqual([
      ['A', '1'],
      ['B', ['2', '3']],
    ]);
  });

  it('reads a flat array, and brings values of one name together', () => {
    expect(writtenHeaders(['Link', '<a>', 'X', '1', 'link', '<b>'])).toEqual([
      ['Link', ['<a>', '<b>']],
      ['X', '1'],
    ]);
  });

  it('reads an array of pairs', () => {
    expect(
      writtenHeaders([
        ['A', '1'],
        ['B', ['2', '3']],
      ]),
    ).toEqual([
      ['A', '1'],
      ['B', ['2', '3']],
    ]);
  });

  it.each([undefined, null, 'text', [], {}])('reads %j as no header', (headers) => {
    expect(writtenHeaders(headers)).toEqual([]);
  });
});

describe('checkHeaders', () => {
  it('lets pass what node sends', () => {
    expect(() => checkHeaders([['X-Name', ['Änne', 'b']]])).not.toThrow();
  });

  it.each([[['X-Name', 'snow ☃']], [['X-Name', ['fine', 'line\nbreak']]], [['X Name', 'value']]] as const)(
    'throws for %j, as node does when it is too late',
    (header) => {
      expect(() => checkHeaders([header])).toThrow();
    },
  );
});

describe('ownReason', () => {
  it('is the phrase that node would not have sent by itself', () => {
    expect(ownReason(200, 'Fine')).toBe('Fine');
  });

  it.each(['OK', '', undefined])('is undefined for %j with 200', (reason) => {
    expect(ownReason(200, reason)).toBeUndefined();
  });
});

describe('removedHeaders', () => {
  it('names what was there at the start and is no more, unless it belongs to the exchange', () => {
    expect(removedHeaders(new Set(['x-powered-by', 'vary', 'set-cookie']), ['Vary'])).toEqual([
      'x-powered-by',
    ]);
  });
});

describe('discardedHeaders', () => {
  const recorded: RecordedResponse = {
    status: 200,
    headers: [['X-Request-Id', 'first']],
    removed: ['x-powered-by'],
    body: new Uint8Array(0),
    framing: 'none',
  };
  const discarded = (present: string[], atStart: string[] = []) =>
    discardedHeaders(present, new Set(atStart), recorded);

  it('are those that the answer we throw away has set', () => {
    expect(discarded(['X-Outer', 'ETag'])).toEqual(['X-Outer', 'ETag']);
  });

  it('are not those that were there before, such as those of a security middleware', () => {
    expect(discarded(['X-Frame-Options'], ['x-frame-options'])).toEqual([]);
  });

  it('are those of the start that the recorded response has, or has taken away', () => {
    expect(discarded(['X-Request-Id', 'X-Powered-By'], ['x-request-id', 'x-powered-by'])).toEqual([
      'X-Request-Id',
      'X-Powered-By',
    ]);
  });

  it('are those of the start that describe another body', () => {
    const ofBody = ['content-type', 'content-length', 'etag', 'last-modified', 'location'];
    expect(discarded(ofBody, ofBody)).toEqual(ofBody);
  });

  it('are never those of the exchange', () => {
    expect(discarded(['Set-Cookie', 'Access-Control-Allow-Origin', 'Date'])).toEqual([]);
  });
});
