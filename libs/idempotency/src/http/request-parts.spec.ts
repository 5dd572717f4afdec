import { describe, expect, it } from '@jest/globals';
import { comparableBody, memberAt, partsOfUrl, selectMembers, type BodyHeaders } from './request-parts.js';

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
  const headers = (overrides: Partial<BodyHeaders> = {}): BodyHeaders => ({
    contentType: 'application/json',
    contentLength: '10',
    transferEncoding: undefined,
    contentDigest: undefined,
    ...overrides,
  });
  const digest = 'sha-256=:abc:';

  it('is the parsed body', () => {
    expect(comparableBody({ a: 1 }, headers())).toEqual({ kind: 'body', body: { a: 1 } });
  });

  it('is null where nothing was sent, whatever a parser left behind', () => {
    expect(comparableBody({}, headers({ contentLength: '0' }))).toEqual({ kind: 'body', body: null });
    expect(comparableBody(undefined, headers({ contentLength: undefined }))).toEqual({
      kind: 'body',
      body: null,
    });
  });

  it('takes an empty object for a body where a parser has read one', () => {
    expect(comparableBody({}, headers())).toEqual({ kind: 'body', body: {} });
  });

  it('does not take the empty object of a parser that has read nothing for a body', () => {
    expect(comparableBody({}, headers({ contentType: 'text/csv' }))).toEqual({ kind: 'unavailable' });
  });

  it('knows a chunked body by its Transfer-Encoding', () => {
    const chunked = headers({ contentLength: undefined, transferEncoding: 'chunked' });
    expect(comparableBody(undefined, chunked)).toEqual({ kind: 'unavailable' });
  });

  it('is the digest of a body that nobody has read', () => {
    expect(comparableBody(undefined, headers({ contentType: 'image/png', contentDigest: digest }))).toEqual({
      kind: 'body',
      body: { digest },
    });
  });

  it('is the digest of a multipart body, which is parsed later', () => {
    const multipart = headers({ contentType: 'multipart/form-data; boundary=x' });
    expect(comparableBody({ a: 1 }, multipart)).toEqual({ kind: 'unavailable' });
    expect(comparableBody({ a: 1 }, { ...multipart, contentDigest: digest })).toEqual({
      kind: 'body',
      body: { digest },
    });
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
