import { describe, expect, it } from '@jest/globals';
import {
  isLockId,
  keyHash,
  lockId,
  operationOf,
  operationPrefix,
  recordId,
  type RecordIdentity,
} from './record-id.js';

const USUAL: RecordIdentity = { namespace: 'shop', operation: 'POST /orders', scope: 'user-1', key: 'key-1' };

describe('recordId', () => {
  it('shows namespace and operation, and neither key nor scope', () => {
    expect(recordId(USUAL)).toMatch(/^shop\|POST \/orders\|[A-Za-z0-9_-]{43}$/);
  });

  it('is stable across versions: records outlive deployments', () => {
    expect(recordId(USUAL)).toBe('shop|POST /orders|MCb4QC4dTBmfvLsPQ8lgERG-Nrk2gjrYispjYBCP528');
  });

  it('never names two identities alike, whatever separators, quotes and escapes they hold', () => {
    const parts = [
      '',
      'a',
      'b',
      'a|b',
      '|',
      ':',
      '"',
      '\\',
      '","',
      'null',
      'anonymous',
      '%7C',
      '{a}',
      '\ud800',
      '\ufffd',
      '\u0000',
      '5:a',
    ];
    const scopes = [undefined, ...parts];
    const ids = new Set<string>();
    for (const operation of parts.filter((part) => part !== '\ud800')) {
      for (const scope of scopes)
        for (const key of parts) ids.add(recordId({ ...USUAL, operation, scope, key }));
    }
    expect(ids.size).toBe((parts.length - 1) * scopes.length * parts.length);
  });

  it('keeps what a separator divides apart: part of the key is never part of the scope', () => {
    const ids = [
      { scope: 'a', key: 'bc' },
      { scope: 'ab', key: 'c' },
      { scope: undefined, key: 'abc' },
      { scope: 'a","b', key: 'c' },
      { scope: 'a', key: 'b","c' },
    ].map((part) => recordId({ ...USUAL, ...part }));
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('is printable ASCII without braces, which Redis Cluster would read', () => {
    for (const operation of ['{tag} POST', 'größe', '订单', '\n', 'half \ud800 pair', 'a|b%c']) {
      expect(recordId({ ...USUAL, operation, key: '{x}', scope: '{y}' })).toMatch(/^[\x20-\x7a\x7c\x7e]+$/);
    }
  });

  it('starts with what the ids of its operation and its namespace start with, and with no other', () => {
    const id = recordId(USUAL);
    expect(id.startsWith(operationPrefix('shop'))).toBe(true);
    expect(id.startsWith(operationPrefix('shop', 'POST /orders'))).toBe(true);
    expect(id.startsWith(operationPrefix('shop', 'POST /order'))).toBe(false);
    expect(id.startsWith(operationPrefix('sho'))).toBe(false);
  });
});

describe('operationOf', () => {
  it('reads the operation back', () => {
    for (const operation of ['POST /orders/:id', 'größe | 50%', '{tag}', '100%', '%7C', '']) {
      expect(operationOf(recordId({ ...USUAL, operation }))).toBe(operation);
    }
  });

  it('shows what it finds in ids of other makes', () => {
    expect([operationOf(''), operationOf('odd'), operationOf('a|%E0%A4%A|c')]).toEqual(['', '', '%E0%A4%A']);
  });
});

describe('keyHash', () => {
  it('is short, the same for the same key and another one for another scope', () => {
    expect(keyHash(recordId(USUAL))).toMatch(/^[A-Za-z0-9_-]{12}$/);
    expect(keyHash(recordId({ ...USUAL, operation: 'PUT /orders' }))).toBe(keyHash(recordId(USUAL)));
    expect(keyHash(recordId({ ...USUAL, scope: 'user-2' }))).not.toBe(keyHash(recordId(USUAL)));
  });
});

describe('lockId', () => {
  it('is the id of no record: nobody who walks over the records of a namespace meets it', () => {
    const id = lockId('shop', 'user:ada');
    expect(id.startsWith(operationPrefix('shop'))).toBe(false);
    for (const operation of ['lock', '%lock', '', 'shop%lock'])
      expect(id.startsWith(operationPrefix('shop', operation))).toBe(false);
    expect([isLockId(id), isLockId(recordId({ ...USUAL, operation: '%lock' }))]).toEqual([true, false]);
    expect([operationOf(id), keyHash(id)]).toEqual(['lock', id.slice(10, 22)]);
  });

  it('keeps names and namespaces apart, and shows no name', () => {
    const ids = [lockId('shop', 'a'), lockId('shop', 'b'), lockId('shop2', 'a'), lockId('shop', 'a|b')];
    expect(new Set(ids).size).toBe(4);
    expect(ids[0]).toMatch(/^shop%lock\|[A-Za-z0-9_-]{43}$/);
  });
});
