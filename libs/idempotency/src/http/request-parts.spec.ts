import { describe, expect, it } from '@jest/globals';
import { PassThrough } from 'node:stream';
import {
  comparableBody,
  memberAt,
  partsOfUrl,
  selectMembers,
  sentBodyOf,
  type SentBody,
} from './request-parts.js';

describe('partsOfUrl', () => {
  it('tells the path from the query', () => {
    expect(partsOfUrl('/orders/1?a=2')).toEqual({ path: '/orders/1', query: [['a', '2']] });
    expect(partsOfUrl('/orders/1')).toEqual({ path: '/orders/1', query: [] });
  });

  it('sorts by name, and keeps the order of one name’s values', () => {
    expect(partsOfUrl('/?b=1&a=2&b=0').query).toEqual([
      ['a', '2'],
      ['b', '1'],
      ['b', '0'],
    ]);
  });

  it('tells values apart, and takes encodings of one value for the same', () => {
    expect(partsOfUrl('/?a=1').query).not.toEqual(partsOfUrl('/?a=100').query);
    expect(partsOfUrl('/?a=x+y').query).toEqual(partsOfUrl('/?a=x%20y').query);
  });
});

describe('comparableBody', () => {
  const sent = (overrides: Partial<SentBody> = {}): SentBody => ({
    contentType: 'application/json',
    contentLength: '10',
    transferEncoding: undefined,
    contentDigest: undefined,
    isEmpty: false,
    ...overrides,
  });
  const nothing = { kind: 'members', body: null };
  const contentDigest = 'sha-256:abc';

  it('is what a parser has made of it', () => {
    expect(comparableBody({ a: 1 }, sent())).toEqual({ kind: 'members', body: { a: 1 } });
    expect(comparableBody('a,b', sent({ contentType: 'text/csv' }))).toEqual({
      kind: 'members',
      body: 'a,b',
    });
  });

  it('is the bytes where a parser keeps them', () => {
    const bytes = Uint8Array.of(0, 1);
    expect(comparableBody(bytes, sent({ contentType: 'image/png' }))).toEqual({ kind: 'bytes', bytes });
  });

  it('is null where nothing was sent, whatever a parser left behind', () => {
    expect(comparableBody({}, sent({ contentLength: '0' }))).toEqual(nothing);
    expect(comparableBody(undefined, sent({ contentLength: undefined }))).toEqual(nothing);
  });

  it('is null for chunks that held nothing, whoever found that out', () => {
    const chunked = { contentLength: undefined, transferEncoding: 'chunked', contentType: 'text/plain' };
    expect(comparableBody('', sent(chunked))).toEqual(nothing);
    expect(comparableBody(Buffer.alloc(0), sent(chunked))).toEqual(nothing);
    expect(comparableBody(undefined, sent({ ...chunked, isEmpty: true }))).toEqual(nothing);
  });

  it('takes an empty text for a body where it is JSON', () => {
    expect(comparableBody('', sent())).toEqual({ kind: 'members', body: '' });
  });

  it('takes an empty object for a body where a parser has read one', () => {
    expect(comparableBody({}, sent())).toEqual({ kind: 'members', body: {} });
  });

  it('does not take the empty object of a parser that has read nothing for a body', () => {
    expect(comparableBody({}, sent({ contentType: 'text/csv' }))).toEqual({ kind: 'unavailable' });
  });

  it('does not take the stream that is left to the handler for a body', () => {
    for (const stream of [new PassThrough(), new ReadableStream()]) {
      expect(comparableBody(stream, sent())).toEqual({ kind: 'unavailable' });
    }
  });

  it('knows a chunked body by its Transfer-Encoding', () => {
    const chunked = sent({ contentLength: undefined, transferEncoding: 'chunked' });
    expect(comparableBody(undefined, chunked)).toEqual({ kind: 'unavailable' });
  });

  it('is the digest of a body that nobody has read', () => {
    expect(comparableBody(undefined, sent({ contentType: 'image/png', contentDigest }))).toEqual({
      kind: 'digest',
      digest: contentDigest,
    });
  });

  it('is an upload for a form with files, or its digest, parsed or not', () => {
    const multipart = { contentType: 'Multipart/Form-Data; boundary=x' };
    expect(comparableBody({ a: 1 }, sent(multipart))).toEqual({ kind: 'upload' });
    expect(comparableBody({ a: 1 }, sent({ ...multipart, contentDigest }))).toEqual({
      kind: 'digest',
      digest: contentDigest,
    });
  });

  it('is no upload for other bodies of several parts', () => {
    expect(comparableBody(undefined, sent({ contentType: 'multipart/mixed; boundary=x' }))).toEqual({
      kind: 'unavailable',
    });
  });
});

describe('sentBodyOf', () => {
  const digest = `sha-256=:${Buffer.alloc(32).toString('base64')}:`;

  it('reads the headers that tell of a body', () => {
    const headers = { 'content-type': 'text/csv', 'content-length': '3', 'content-digest': digest };
    expect(sentBodyOf({ headers })).toEqual({
      contentType: 'text/csv',
      contentLength: '3',
      transferEncoding: undefined,
      contentDigest: `sha-256:${Buffer.alloc(32).toString('base64')}`,
      isEmpty: false,
    });
  });

  it('knows that nothing came when all has come and nothing waits to be read', () => {
    const request = { headers: {}, complete: true, readableDidRead: false, readableLength: 0 };
    expect(sentBodyOf(request).isEmpty).toBe(true);
    expect(sentBodyOf({ ...request, complete: false }).isEmpty).toBe(false);
    expect(sentBodyOf({ ...request, readableDidRead: true }).isEmpty).toBe(false);
    expect(sentBodyOf({ ...request, readableLength: 1 }).isEmpty).toBe(false);
  });

  it('knows a body over HTTP/2, where no header tells of it', () => {
    expect(sentBodyOf({ headers: {}, stream: { endAfterHeaders: false } }).transferEncoding).toBe('frames');
    expect(sentBodyOf({ headers: {}, stream: { endAfterHeaders: true } }).transferEncoding).toBeUndefined();
  });
});

describe('selectMembers', () => {
  const body = { amount: 1, meta: { sentAt: 'now', source: 'app' }, items: [{ id: 1 }, { id: 2 }] };

  it('takes the included members alone, each with its path', () => {
    expect(selectMembers(body, { include: ['amount', 'meta.source', 'absent'] })).toEqual([
      ['amount', 1],
      ['meta.source', 'app'],
      ['absent', undefined],
    ]);
  });

  it('leaves the excluded members out, and the body itself as it was', () => {
    const before = structuredClone(body);
    expect(selectMembers(body, { exclude: ['meta.sentAt', 'items.0.id', 'absent.too'] })).toEqual({
      amount: 1,
      meta: { source: 'app' },
      items: [{}, { id: 2 }],
    });
    expect(body).toEqual(before);
  });
});

describe('memberAt', () => {
  it('finds a member at a dotted path', () => {
    expect(memberAt({ a: { b: [{ c: 1 }] } }, 'a.b.0.c')).toBe(1);
  });

  it('finds own members only', () => {
    expect(memberAt({}, 'constructor.name')).toBeUndefined();
    expect(memberAt('text', 'length')).toBeUndefined();
    expect(memberAt(null, 'a')).toBeUndefined();
  });
});
