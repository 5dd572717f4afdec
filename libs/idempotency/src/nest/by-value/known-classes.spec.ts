import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import type { DecoratedMethod } from '../decorated-methods.js';
import { ApplicationClasses } from './known-classes.js';

type Class = (new () => object) & { readonly prototype: object };

function classCalled(name: string): Class {
  return { [name]: class {} }[name] as Class;
}

/** A decorated method of a controller, as reflection sees it: of that return type. */
function returning(type: unknown): DecoratedMethod {
  class Controller {}
  Reflect.defineMetadata('design:returntype', type, Controller.prototype, 'create');
  return { metatype: Controller, name: 'create' } as unknown as DecoratedMethod;
}

async function learned(...types: readonly unknown[]): Promise<ApplicationClasses> {
  const classes = new ApplicationClasses();
  await classes.learn(types.map(returning), new Set());
  return classes;
}

describe('the classes that an application knows', () => {
  it('are the return types of its handlers, by name and by prototype', async () => {
    const Order = classCalled('Order');
    const classes = await learned(Order, Order, classCalled('Invoice'));

    expect(classes.nameOf(Order.prototype)).toBe('class:Order');
    expect(classes.prototypeOf('class:Order')).toBe(Order.prototype);
  });

  it('are none of those that share a name, in whatever order and how often they are met', async () => {
    const [one, two, three] = [classCalled('Order'), classCalled('Order'), classCalled('Order')];
    for (const met of [
      [one, two],
      [one, two, one],
      [one, two, three],
      [one, two, two, one],
    ]) {
      const classes = await learned(...met);

      expect(classes.prototypeOf('class:Order')).toBeUndefined();
      expect(met.map(({ prototype }) => classes.nameOf(prototype))).toEqual(met.map(() => undefined));
    }
  });

  it('are not those of the language, nor what is no class', async () => {
    const classes = await learned(Object, Promise, Map, undefined, () => 1);

    for (const name of ['class:Object', 'class:Promise', 'class:Map', '__proto__', 'constructor', 'class:']) {
      expect(classes.prototypeOf(name)).toBeUndefined();
    }
  });
});
