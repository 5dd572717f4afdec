import type { ModuleMetadata } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { bodyKey, headerKey, memoryStorage, messageKey } from 'nestjs-idempotent';
import { boot, mistakeOf, withModule, withRoute } from './support/boot.js';

type Case = readonly [what: string, app: () => ModuleMetadata, sentence: RegExp];

const AT_ROUTE = /^@Idempotent\(\) on OrdersController\.create: /;

describe('an app does not boot with durations that cannot be meant:', () => {
  const numbers: readonly (readonly [option: string, ms: number, meant: string])[] = [
    ['ttl', 86_400_000, "write 86400 or '1d'"],
    ['ttl', 31 * 86_400 + 1, "'2678401s' if you did not"],
    ['lease', 30_000, "write 30 or '30s'"],
    ['lease', 3601, "'3601s' if you did not"],
    ['maxRun', 600_000, "write 600 or '10m'"],
    ['maxRun', 86_401, "'86401s' if you did not"],
    ['waitTimeout', 5000, "write 5 or '5s'"],
    ['waitTimeout', 601, "'601s' if you did not"],
    ['storageTimeout', 1000, "write 1 or '1s'"],
    ['storageTimeout', 61, "'61s' if you did not"],
  ];

  it.each(numbers)('`%s: %d`, which must be milliseconds', async (option, value, meant) => {
    const inModule = await mistakeOf(() => withModule({ [option]: value }));
    const inFlight = 'wait';
    const onRoute = await mistakeOf(() => withRoute({ [option]: value, inFlight }));

    expect(inModule).toMatch(
      new RegExp(`^IdempotencyModule: \`${option}\` is ${value} seconds \\(.*Numbers are seconds`),
    );
    expect(inModule).toContain(meant);
    expect(onRoute).toMatch(AT_ROUTE);
    expect(onRoute).toContain(meant);
  });

  it('`@Idempotent(86_400_000)`', async () => {
    expect(await mistakeOf(() => withRoute(86_400_000))).toMatch(
      /^@Idempotent\(\) on OrdersController\.create: `ttl` is 86400000 seconds .* write 86400 or '1d'/,
    );
  });

  it.each(['ttl', 'lease', 'maxRun', 'waitTimeout', 'storageTimeout'])(
    '`%s` of 0, below 0, NaN, Infinity, an unknown unit, no unit, or another type',
    async (option) => {
      for (const value of [0, -1, NaN, Infinity, '0s', '-1s', '10 years', '1000', '', true, {}, [30]]) {
        expect(await mistakeOf(() => withModule({ [option]: value }))).toMatch(
          new RegExp(`^IdempotencyModule: \`${option}\` is .*not a duration. Write .*'30s' or '24h'\\.$`),
        );
      }
    },
  );

  it.each([
    ['ttl', 31 * 86_400],
    ['ttl', '400d'],
    ['lease', 3600],
    ['maxRun', 86_400],
    ['storageTimeout', '2m'],
  ])('but it does with `%s: %s`', async (option, value) => {
    await boot(withModule({ lease: '1h', maxRun: '24h', [option]: value }));
  });
});

describe('an app does not boot with options that are not what they should be:', () => {
  const storage = { storage: memoryStorage() };

  it.each<Case>([
    [
      'an unknown one of the module',
      () => withModule({ tll: '1h' }),
      /^IdempotencyModule: `tll` is not an option here\. Known are `ttl`/,
    ],
    [
      'one of the decorator in the module',
      () => withModule({ operation: 'a' }),
      /`operation` is not an option here/,
    ],
    [
      'an unknown one of a route',
      () => withRoute({ scop: () => 1 }),
      /^@Idempotent\(\) on OrdersController\.create: `scop` is not an option here/,
    ],
    [
      'one of the module on a route',
      () => withRoute({ storage: memoryStorage() }),
      /`storage` is not an option here/,
    ],
    ['`key` as a text', () => withRoute({ key: 'X-Key' }), /`key` must be headerKey\(\), bodyKey\(\)/],
    ['`key` as an empty list', () => withRoute({ key: [] }), /`key` must be headerKey/],
    [
      '`key` as a maker that was not called',
      () => withRoute({ key: bodyKey }),
      /`key` is bodyKey itself\. Call it: `key: bodyKey\('…'\)`/,
    ],
    [
      '`key` in a header that cannot be',
      () => withRoute({ key: headerKey('Idempotency Key') }),
      /headerKey\('Idempotency Key'\) names nothing that a request could hold/,
    ],
    ['`key` in no member', () => withRoute({ key: bodyKey('') }), /bodyKey\(''\) names nothing/],
    [
      '`key` of a message on a route',
      () => withRoute({ key: messageKey('id') }),
      /messageKey\('id'\) reads a message, and this is a route\. Use bodyKey\('id'\)/,
    ],
    [
      '`key` of messages alone for a route that has none of its own',
      () => withRoute({}, { key: [messageKey('id')] }),
      /messageKey\('id'\) reads a message, and this is a route/,
    ],
    [
      '`required` as a text',
      () => withRoute({ required: 'yes' }),
      /`required` is 'yes'; it must be true or false/,
    ],
    [
      '`keyFormat` by an unknown name',
      () => withRoute({ keyFormat: 'UUID' }),
      /`keyFormat` is 'UUID'; it must be 'uuid', 'strong', a RegExp or a function/,
    ],
    [
      '`scope` as a text',
      () => withModule({ scope: 'user.id' }),
      /`scope` is 'user\.id'; it must be a function/,
    ],
    ['`record` as a text', () => withModule({ record: 'keep' }), /`record` is 'keep'; it must be a function/],
    ['`recover` as a flag', () => withRoute({ recover: true }), /`recover` is true; it must be a function/],
    [
      '`replayWith` as an object',
      () => withRoute({ replayWith: {} }),
      /`replayWith` is a value of type object; it must be a function/,
    ],
    [
      '`fingerprint: true`',
      () => withRoute({ fingerprint: true }),
      /`fingerprint` is true; it must be \{ include: \[\.\.\.\] \} or \{ exclude/,
    ],
    [
      '`fingerprint` with both lists',
      () => withRoute({ fingerprint: { include: ['a'], exclude: ['b'] } }),
      /`fingerprint` is a value of type object/,
    ],
    [
      '`fingerprint` with an empty list',
      () => withRoute({ fingerprint: { include: [] } }),
      /`fingerprint` is/,
    ],
    [
      '`inFlight` by an unknown name',
      () => withModule({ inFlight: 'queue' }),
      /`inFlight` is 'queue'; it must be 'reject' or 'wait'/,
    ],
    [
      '`onStorageFailure` by an unknown name',
      () => withModule({ onStorageFailure: 'ignore' }),
      /must be 'reject' or 'run'/,
    ],
    [
      '`onAbandoned` by an unknown name',
      () => withModule({ onAbandoned: 'retry' }),
      /must be 'rerun' or 'refuse'/,
    ],
    [
      '`maxResponseBytes` as a text',
      () => withModule({ maxResponseBytes: '1MB' }),
      /`maxResponseBytes` is '1MB'; it must be a whole number of bytes/,
    ],
    ['`maxResponseBytes` below 0', () => withModule({ maxResponseBytes: -1 }), /`maxResponseBytes` is -1/],
    [
      '`replayHeaders` as a list',
      () => withModule({ replayHeaders: ['Location'] }),
      /`replayHeaders` is a value of type object; it must be \{ include/,
    ],
    [
      '`replayHeaders` with an unknown member',
      () => withModule({ replayHeaders: { only: ['Location'] } }),
      /`replayHeaders` is/,
    ],
    [
      '`operation` that is blank',
      () => withRoute({ operation: ' ' }),
      /`operation` is ' '; it must be a name of 1 to 200 characters/,
    ],
    [
      '`interceptor` by an unknown name',
      () => withModule({ interceptor: 'none' }),
      /`interceptor` is 'none'; it must be 'global' or 'decorated'/,
    ],
    ['`docsUrl` that is no URL', () => withModule({ docsUrl: 'our docs' }), /`docsUrl` must be a URL/],
    [
      'a namespace with a separator',
      () => withModule({ ...storage, namespace: 'a|b' }),
      /`namespace` must be 1 to 64 letters/,
    ],
    [
      'a bad namespace and no storage',
      () => withModule({ namespace: '' }),
      /`namespace` must be 1 to 64 letters/,
    ],
    [
      'a storage that was not made',
      () => withModule({ storage: memoryStorage }),
      /`storage` is not a storage\. Call the function: `storage: redisStorage\(\{ url \}\)`/,
    ],
    [
      'a storage that is something else',
      () => withModule({ storage: new Map() }),
      /`storage` is not a storage/,
    ],
    ['a storage that is null', () => withModule({ storage: null }), /`storage` is not a storage/],
  ])('%s', async (_what, app, sentence) => {
    expect(await mistakeOf(app)).toMatch(sentence);
  });

  it.each<Case>([
    [
      '`maxRun` below `lease`',
      () => withModule({ maxRun: '10s' }),
      /`maxRun` \(10000 ms\) is shorter than `lease` \(30000 ms\).*Raise `maxRun` or lower `lease`/,
    ],
    [
      '`storageTimeout` above `lease`',
      () => withRoute({ lease: '1s' }),
      /`storageTimeout` \(1000 ms\) is not shorter than `lease` \(1000 ms\)/,
    ],
    [
      '`waitTimeout` where nobody waits',
      () => withRoute({ waitTimeout: '1s' }),
      /`waitTimeout` is given, and `inFlight` is 'reject'.*Add `inFlight: 'wait'`/,
    ],
    [
      '`transactional`',
      () => withRoute({ transactional: true }),
      /`transactional` needs a storage that can commit the record .* `memory` cannot .* remove `transactional`/,
    ],
    [
      '`transactional` with an isolation',
      () => withRoute({ transactional: { isolation: 'SERIALIZABLE' } }),
      /`transactional` needs/,
    ],
  ])('two that contradict each other, or the storage: %s', async (_what, app, sentence) => {
    expect(await mistakeOf(app)).toMatch(sentence);
  });

  it('but it does with `transactional: false`, a waitTimeout of the module, and a list of keys for routes and messages', async () => {
    const key = [headerKey('Idempotency-Key'), messageKey('id')];

    await boot(withRoute({ transactional: false }, { waitTimeout: '1s', key }));
  });
});
