import { describe, expect, it } from '@jest/globals';
import { EventEmitter } from 'node:events';
import { carriedValue } from './carried-value-reader.js';
import { carryValue } from './carried-value.js';
import type { KnownClasses } from './carried-value-format.js';
import { RecordUnreadableError } from './errors.js';
import { decodeValue } from './plain-value.js';

class Item {
  constructor(
    readonly sku: string,
    readonly price: bigint,
  ) {}
}
abstract class Node {
  id = 'n1';
  get nodeName() {
    return `node ${this.id}`;
  }
}
class Order extends Node {
  items: Item[] = [];
  placedAt = new Date(1_700_000_000_000);
  parent: Order | undefined;
  get total() {
    return this.items.reduce((sum, { price }) => sum + price, 0n);
  }
}
const known = new Map<string, object>([
  ['Order', Order.prototype],
  ['Item', Item.prototype],
]);
const classes: KnownClasses = {
  nameOf: (prototype) => [...known].find(([, item]) => item === prototype)?.[0],
  prototypeOf: (name) => known.get(name),
};
const through = (value: unknown): unknown => {
  const carried = carryValue(value, classes);
  return carried.kind === 'refused' ? carried.reason : carriedValue(carried.bytes, classes);
};

describe('carryValue and carriedValue', () => {
  it.each([
    ['nothing', undefined],
    ['a date', new Date(0)],
    ['a bigint', 12345678901234567890n],
    ['odd numbers', [Number.NaN, Infinity, -Infinity, -0]],
    ['a map', new Map<unknown, unknown>([['a', new Map([[1, new Date(1)]])]])],
    ['a set', new Set(['a', { b: 1n }])],
    ['a buffer', { bytes: Buffer.from([0, 255, 7]) }],
    ['bytes', new Uint8Array([1, 2, 3])],
    ['undefined in an array', [undefined, null, 1]],
    ['undefined members beside a date', { a: undefined, at: new Date(2) }],
    ['members with the names of tags', { '\u0000': ['date', 0], at: new Date(3) }],
    ['nested arrays and null', [[[null]], [new Date(4)]]],
    ['a member called __proto__', JSON.parse('{"__proto__":{"x":1},"y":2}') as unknown],
  ])('give back %s', (_what, value) => {
    expect(through(value)).toStrictEqual(value);
  });

  it('give back a date that is none', () => {
    expect(String(through(new Date(Number.NaN)))).toBe('Invalid Date');
  });

  it('write plain data as JSON that the other readers understand', () => {
    const carried = carryValue({ a: [1, 'b', null] }, classes);

    expect(carried.kind === 'carried' && decodeValue(carried.bytes)).toEqual({ a: [1, 'b', null] });
  });

  it('give instances of known classes their getters, methods and base classes back, without running a constructor', () => {
    const order = Object.assign(new Order(), { items: [new Item('A-1', 3n), new Item('B-2', 4n)] });

    const back = through({ orders: [order] }) as { orders: Order[] };

    const [first] = back.orders;
    expect(first).toBeInstanceOf(Order);
    expect(first).toStrictEqual(order);
    expect([first?.total, first?.nodeName, first?.items[1] instanceof Item]).toEqual([7n, 'node n1', true]);
  });

  it('give back members that point at each other', () => {
    const order = new Order();
    order.parent = order;
    const pair = { a: order, b: order, list: [order.placedAt] };

    const back = through(pair) as typeof pair;

    expect(back.a).toBe(back.b);
    expect(back.a.parent).toBe(back.a);
    expect(back.list[0]).toBe(back.a.placedAt);
  });

  it('make a class of data alone that nobody knows into plain data', () => {
    class Row {
      id = 1;
      at = new Date(5);
    }

    expect(through(new Row())).toStrictEqual({ id: 1, at: new Date(5) });
  });

  class Secret {
    #pin = 1;
    get pin() {
      return this.#pin;
    }
  }
  known.set('Secret', Secret.prototype);
  class Unknown {
    id = 1;
    get label() {
      return 'x';
    }
  }
  const pins = new WeakMap<object, number>();
  const __privateAdd = (who: object, where: WeakMap<object, number>, pin: number) => where.set(who, pin);
  class Lowered {
    constructor() {
      __privateAdd(this, pins, 1);
    }
  }
  known.set('Lowered', Lowered.prototype);
  const revoked = (): object => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  };
  class Bag extends Map<string, string> {}
  class Bus extends EventEmitter {}
  known.set('Bag', Bag.prototype);

  it.each([
    ['a function', { a: { send: () => 1 } }, '`a.send` is a function'],
    ['a promise', { later: Promise.resolve(1) }, '`later` is a promise; await it'],
    ['a symbol', [Symbol('x')], '`0` is a symbol'],
    [
      'an unknown class with behaviour',
      { x: new Unknown() },
      '`x` is a Unknown, whose `label` would be missing on a replay',
    ],
    ['private members', new Secret(), 'it is a Secret, which has #private members'],
    ['a class over a Map', { bag: new Bag([['a', 'b']]) }, '`bag` is a Bag, which extends Map'],
    ['an error', [new TypeError('no')], '`0` is a TypeError'],
    ['a class of another kind of base', new Bus(), /^it is a Bus/],
    ['a proxy', new Proxy({ a: new Date(1) }, {}), 'it is a Proxy'],
    ['a proxy that was revoked', [revoked()], '`0` is a Proxy'],
    ['a member that is a symbol', { [Symbol('s')]: 1 }, 'it has a symbol for a member'],
    [
      'private members that esbuild has lowered',
      new Lowered(),
      'it is a Lowered, which has #private members',
    ],
    [
      'what only looks like bytes',
      Object.create(Buffer.prototype as object) as object,
      'reading it threw an error',
    ],
    ['a regular expression', { pattern: /x/ }, '`pattern` is a RegExp'],
    [
      'a getter that throws',
      {
        get card(): never {
          throw new Error('4242');
        },
      },
      '`card` is a getter of the object itself',
    ],
    [
      'a getter of its own',
      {
        d: new Date(0),
        get now() {
          return 1;
        },
      },
      '`now` is a getter of the object itself',
    ],
    [
      'hidden members',
      Object.defineProperty({ d: new Date(0) }, 'h', { value: 1 }),
      '`h` is hidden (not enumerable)',
    ],
    ['names that may be data of users', { 'jane@example.com': { f() {} } }, '`….f` is a function'],
  ])('refuse %s, and say where', (_what, value, reason) => {
    const carried = carryValue(value, classes);

    expect(carried).toEqual({
      kind: 'refused',
      reason: typeof reason === 'string' ? reason : expect.stringMatching(reason),
    });
  });

  it('refuse what is nested too deeply', () => {
    let deep: unknown = new Date(0);
    for (let level = 0; level < 300; level++) deep = { deep };

    expect(through(deep)).toBe('it is nested deeper than 200 levels');
  });

  it('are not mistaken for plain JSON', () => {
    const carried = carryValue(new Date(0), classes);

    expect(() => carried.kind === 'carried' && decodeValue(carried.bytes)).toThrow(RecordUnreadableError);
  });
});
