import { describe, expect, it } from '@jest/globals';
import { RecordUnreadableError } from './errors.js';
import { decodeValue, encodeValue } from './plain-value.js';

const roundTrip = (value: unknown) => {
  const bytes = encodeValue(value);
  return bytes === undefined ? 'refused' : decodeValue(bytes);
};

describe('encodeValue and decodeValue', () => {
  it.each([
    undefined,
    null,
    '',
    'größe \u0000 \ud83d\ude00 \ud800',
    0,
    -1.5,
    Number.MAX_SAFE_INTEGER,
    true,
    [],
    {},
    [1, [2, { three: null }]],
    { order: { id: 'o1', items: [{ sku: 'A-123', quantity: 1 }] } },
    Object.assign(Object.create(null) as object, { a: 1 }),
  ])('give back %p', (value) => {
    expect(roundTrip(value)).toEqual(value);
  });

  it('drop members that are undefined, as every JSON reply does', () => {
    expect(roundTrip({ a: undefined, b: 1 })).toStrictEqual({ b: 1 });
  });

  class Order {
    id = 1;
  }
  it.each([
    ['a Date', new Date(0)],
    ['an instance of a class', new Order()],
    ['a Map', new Map()],
    ['bytes', Buffer.from('x')],
    ['a bigint', 1n],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['NaN', Number.NaN],
    ['Infinity', Infinity],
    ['minus zero', -0],
    ['undefined in an array', [undefined]],
    ['a hole in an array', new Array<number>(2)],
    ['a member called __proto__', JSON.parse('{"__proto__":1}') as unknown],
    ['a symbol as name', { [Symbol('x')]: 1 }],
    ['its own toJSON', { toJSON: () => 1 }],
    [
      'a getter that throws',
      {
        get broken(): never {
          throw new Error('broken');
        },
      },
    ],
  ])('refuse %s, at any depth', (_, value) => {
    expect(roundTrip(value)).toBe('refused');
    expect(roundTrip({ deep: [{ value }] })).toBe('refused');
  });

  it('refuse cycles, quickly', () => {
    const cyclic: Record<string, unknown> = {};
    Object.assign(cyclic, { a: cyclic, b: cyclic, c: [cyclic, cyclic] });
    expect(roundTrip(cyclic)).toBe('refused');
  });

  it('refuse bytes that are not a value', () => {
    expect(() => decodeValue(Buffer.from('{"a":'))).toThrow(RecordUnreadableError);
  });
});
