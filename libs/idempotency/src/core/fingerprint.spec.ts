import { describe, expect, it } from '@jest/globals';
import { fingerprintOf, NO_FINGERPRINT } from './fingerprint.js';

describe('fingerprintOf', () => {
  it('is the same for the same request, whatever the order of its members', () => {
    expect(fingerprintOf({ method: 'POST', body: { a: 1, b: [2] } })).toBe(
      fingerprintOf({ body: { b: [2], a: 1 }, method: 'POST' }),
    );
  });

  it('differs for another one', () => {
    const requests = [{ a: 1 }, { a: '1' }, { a: [1] }, [{ a: 1 }], { a: 1, b: null }, undefined, ''];
    const fingerprints = requests.map(fingerprintOf).filter((one) => one !== fingerprintOf(null));
    expect(new Set(fingerprints).size).toBe(requests.length - 1);
  });

  it('is 43 characters that any storage can hold, and never the one that compares nothing', () => {
    expect(fingerprintOf('\u0000 \ud800')).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(fingerprintOf(undefined)).not.toBe(NO_FINGERPRINT);
  });

  it('is stable across versions: records outlive deployments', () => {
    expect(fingerprintOf({ amount: 100 })).toBe('TUu-Wcaq0iRCzeGZpqil8DRAX814-1qBwk7ySd4cRfE');
  });
});
