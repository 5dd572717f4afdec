import { describe, expect, it } from '@jest/globals';
import { carriedValue } from './carried-value-reader.js';
import type { KnownClasses } from './carried-value-format.js';
import { RecordUnreadableError } from './errors.js';

class Item {
  sku = 'A-1';
}
const classes: KnownClasses = {
  nameOf: () => undefined,
  prototypeOf: (name) => (name === 'Item' ? Item.prototype : undefined),
};

describe('carriedValue, of bytes that somebody else has put into the storage', () => {
  it.each([
    ['a class that is gone', { '\u0000': ['class', 'Gone', []] }, /an instance of `Gone`/],
    ['an unknown tag', { '\u0000': ['x'] }, /malformed/],
    ['a reference to nothing', { '\u0000': ['ref', 7] }, /malformed/],
    ['a tag that is no list', { '\u0000': 1 }, /malformed/],
    ['a bigint that is none', { '\u0000': ['bigint', 'x'] }, /malformed/],
    ['a reference backwards', { '\u0000': ['ref', -1] }, /malformed/],
    ['a number that is none', { '\u0000': ['number', 'x'] }, /malformed/],
    ['a date that is no time', { '\u0000': ['date', '2026'] }, /malformed/],
    ['bytes that are no text', { '\u0000': ['bytes', [1, 2]] }, /malformed/],
    ['a buffer that is no text', { '\u0000': ['buffer', { length: 1000 }] }, /malformed/],
    ['members without names', { '\u0000': ['entries', [[{ a: 1 }, 1]]] }, /malformed/],
    ['a class called __proto__', { '\u0000': ['class', '__proto__', []] }, /an instance of `__proto__`/],
    ['a class called constructor', { '\u0000': ['class', 'constructor', []] }, /does not know/],
    ['a class with no name', { '\u0000': ['class', 7, []] }, /malformed/],
  ])('reads nothing that holds %s', (_what, json, sentence) => {
    const bytes = Buffer.concat([Buffer.from([0]), Buffer.from(JSON.stringify(json))]);

    expect(() => carriedValue(bytes, classes)).toThrow(RecordUnreadableError);
    expect(() => carriedValue(bytes, classes)).toThrow(sentence);
  });

  it('names a class in the log only as classes are named: the text is from the storage', () => {
    const json = JSON.stringify({ '\u0000': ['class', 'Order\nERROR all is lost', []] });
    const read = () => carriedValue(Buffer.concat([Buffer.from([0]), Buffer.from(json)]), classes);

    expect(read).toThrow('it holds an instance of a class whose name is malformed');
    expect(read).not.toThrow('all is lost');
  });

  it.each([
    ['lists', '[', ']'],
    ['sets', '{"\\u0000":["set",[', ']]}'],
    ['classes', '{"\\u0000":["class","Item",[["sku",', ']]]}'],
  ])(
    'reads no %s that are nested without end: the stack is not the place to find that out',
    (_what, open, close) => {
      const json = Buffer.from(open.repeat(100_000) + '1' + close.repeat(100_000));

      expect(() => carriedValue(Buffer.concat([Buffer.from([0]), json]), classes)).toThrow(
        RecordUnreadableError,
      );
    },
  );

  it('gives a member called __proto__ to nobody’s prototype, not even one that was put into the storage', () => {
    const json = `{"a":{"__proto__":{"admin":true}},"b":{"\\u0000":["class","Item",[["__proto__",{"admin":true}]]]}}`;

    const { a, b } = carriedValue(Buffer.concat([Buffer.from([0]), Buffer.from(json)]), classes) as Record<
      'a' | 'b',
      { admin?: boolean }
    >;

    expect([a.admin, b.admin, ({} as { admin?: boolean }).admin]).toEqual([undefined, undefined, undefined]);
    expect(b).toBeInstanceOf(Item);
  });
});
