import { Controller, Post } from '@nestjs/common';
import { of } from 'rxjs';
import { Once } from '../handler-runs.js';
import type { Group } from '../kind.js';

class Money {
  constructor(
    private readonly minor: bigint,
    readonly currency: string,
  ) {}

  toJSON(): unknown {
    return { minor: String(this.minor), currency: this.currency };
  }
}

const LONG = 'ä'.repeat(70_000);

@Controller('values')
class ValuesController {
  @Post('object')
  @Once()
  object() {
    return { id: 1, items: [{ sku: 'A-123', quantity: 2 }], note: null };
  }

  @Post('nothing')
  @Once()
  nothing(): void {}

  @Post('null')
  @Once()
  null() {
    return null;
  }

  @Post('empty-string')
  @Once()
  emptyString() {
    return '';
  }

  @Post('string')
  @Once()
  string() {
    return 'plain text';
  }

  @Post('zero')
  @Once()
  zero() {
    return 0;
  }

  @Post('number')
  @Once()
  number() {
    return -12.5;
  }

  @Post('false')
  @Once()
  false() {
    return false;
  }

  @Post('array')
  @Once()
  array() {
    return [1, 'two', null, [3]];
  }

  @Post('empty-array')
  @Once()
  emptyArray() {
    return [];
  }

  @Post('date')
  @Once()
  date() {
    return new Date(Date.UTC(2026, 0, 31));
  }

  @Post('members')
  @Once()
  members() {
    return {
      at: new Date(0),
      absent: undefined,
      none: null,
      nan: NaN,
      list: [undefined],
      map: new Map([[1, 2]]),
    };
  }

  @Post('class')
  @Once()
  class() {
    return new Money(10n ** 20n, 'EUR');
  }

  @Post('unicode')
  @Once()
  unicode() {
    return { text: 'Grüße, 日本語, 👩‍👩‍👧‍👦, \u2028, \u0000, "\\' };
  }

  @Post('unicode-string')
  @Once()
  unicodeString() {
    return 'Grüße 👋';
  }

  @Post('long')
  @Once()
  long() {
    return { text: LONG };
  }

  @Post('promise')
  @Once()
  async promise() {
    await new Promise((resolve) => setImmediate(resolve));
    return { later: true };
  }

  @Post('observable')
  @Once()
  observable() {
    return of({ emitted: 1 });
  }

  @Post('emissions')
  @Once()
  emissions() {
    return of({ emitted: 1 }, { emitted: 2 }, { emitted: 3 });
  }

  @Post('promised-observable')
  @Once()
  async promisedObservable() {
    return of({ emitted: 'later' });
  }
}

export const values: Group = {
  title: 'Values of a handler',
  controllers: [ValuesController],
  kinds: [
    {
      name: 'an object',
      path: '/values/object',
      status: 201,
      answers: '{"id":1,"items":[{"sku":"A-123","quantity":2}],"note":null}',
      has: { 'content-type': 'application/json; charset=utf-8' },
    },
    { name: 'nothing', path: '/values/nothing', status: 201, answers: '' },
    { name: 'null', path: '/values/null', status: 201 },
    { name: 'an empty string', path: '/values/empty-string', status: 201, answers: '' },
    { name: 'a string', path: '/values/string', status: 201, answers: 'plain text' },
    { name: 'the number 0', path: '/values/zero', status: 201, answers: '0' },
    { name: 'a number', path: '/values/number', status: 201, answers: '-12.5' },
    { name: 'false', path: '/values/false', status: 201, answers: 'false' },
    { name: 'an array', path: '/values/array', status: 201, answers: '[1,"two",null,[3]]' },
    { name: 'an empty array', path: '/values/empty-array', status: 201, answers: '[]' },
    { name: 'a Date', path: '/values/date', status: 201, answers: '"2026-01-31T00:00:00.000Z"' },
    {
      name: 'an object with Dates, undefined members and a Map',
      path: '/values/members',
      status: 201,
      answers: '{"at":"1970-01-01T00:00:00.000Z","none":null,"nan":null,"list":[null],"map":{}}',
    },
    {
      name: 'an instance of a class with toJSON',
      path: '/values/class',
      status: 201,
      answers: '{"minor":"100000000000000000000","currency":"EUR"}',
    },
    { name: 'an object with Unicode, emoji and NUL', path: '/values/unicode', status: 201, answers: /👩‍👩‍👧‍👦/u },
    {
      name: 'a string with Unicode and emoji',
      path: '/values/unicode-string',
      status: 201,
      answers: 'Grüße 👋',
    },
    { name: 'JSON of more than 64 KiB', path: '/values/long', status: 201, answers: `{"text":"${LONG}"}` },
    { name: 'a promise', path: '/values/promise', status: 201, answers: '{"later":true}' },
    {
      name: 'an Observable with one emission',
      path: '/values/observable',
      status: 201,
      answers: '{"emitted":1}',
    },
    {
      name: 'an Observable with several emissions',
      path: '/values/emissions',
      status: 201,
      answers: '{"emitted":3}',
    },
    {
      name: 'a promise of an Observable',
      path: '/values/promised-observable',
      status: 201,
      answers: '{"emitted":"later"}',
    },
  ],
};
