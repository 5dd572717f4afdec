import { describe, expect, it } from '@jest/globals';
import type { Codec } from './codec.js';
import { OperationCodecs } from './operation-codecs.js';

const codec = (name: string): Codec => ({ name, encode: (bytes) => bytes, decode: (bytes) => bytes });
const [usual, own] = [codec('usual'), codec('own')];

describe('OperationCodecs', () => {
  it('knows the codec of every operation while all have the usual one', () => {
    const codecs = new OperationCodecs(usual);
    codecs.learn('a', usual);
    expect([codecs.of('a'), codecs.of('never met')]).toEqual([usual, usual]);
    expect(codecs.candidates('never met')).toEqual([usual]);
  });

  it('knows the codec of an operation that it has met', () => {
    const codecs = new OperationCodecs(undefined);
    codecs.learn('a', own);
    codecs.learn('b', undefined);
    expect([codecs.of('a'), codecs.of('b')]).toEqual([own, undefined]);
    expect([codecs.candidates('a'), codecs.candidates('b')]).toEqual([[own], [undefined]]);
  });

  it('does not guess for one that it has not met, once some have their own', () => {
    const codecs = new OperationCodecs(usual);
    codecs.learn(undefined, own);
    expect(() => codecs.of('a')).toThrow(
      'which one a has is not known in this process before its first request',
    );
    expect(codecs.candidates('a')).toEqual([usual, own]);
  });
});
