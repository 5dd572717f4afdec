import {
  Controller,
  Post,
  Version,
  VERSION_NEUTRAL,
  VersioningType,
  type INestApplication,
} from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { Idempotent, IdempotencyService } from 'nestjs-idempotent';
import { platforms, start, type AppOptions } from './support/apps.js';
import { operationsOf } from './support/operations-of.js';
import { send, type Sending } from './support/requests.js';

@Controller({ path: 'orders', version: '1' })
class OrdersV1 {
  @Post()
  @Idempotent()
  create() {
    return 'v1';
  }
  @Post()
  @Version(['2', '3'])
  @Idempotent()
  createAnew() {
    return 'v2 or v3';
  }
  @Post('neutral')
  @Version(VERSION_NEUTRAL)
  @Idempotent()
  neutral() {
    return 'neutral';
  }
}

describe.each(platforms)('the name of an operation with versions, on %s', (platform) => {
  const named = (app: AppOptions, paths: readonly (readonly [string, Sending?])[]) =>
    operationsOf(platform, app, paths);

  it('holds the version of the URI', async () => {
    const prepare = (nest: INestApplication) => void nest.enableVersioning({ type: VersioningType.URI });

    expect(
      await named({ controllers: [OrdersV1], prepare }, [
        ['/v1/orders'],
        ['/v2/orders'],
        ['/v3/orders'],
        ['/orders/neutral'],
      ]),
    ).toEqual(['POST /v1/orders', 'POST /v2/orders', 'POST /v3/orders', 'POST /orders/neutral']);
  });

  it.each<
    [string, Parameters<INestApplication['enableVersioning']>[0], (version: string) => Record<string, string>]
  >([
    [
      'a header',
      { type: VersioningType.HEADER, header: 'X-Version' },
      (version) => ({ 'X-Version': version }),
    ],
    [
      'the media type',
      { type: VersioningType.MEDIA_TYPE, key: 'v=' },
      (version) => ({ Accept: `application/json;v=${version}` }),
    ],
    [
      'something of the app’s own',
      {
        type: VersioningType.CUSTOM,
        extractor: (request) => (request as { headers: Record<string, string> }).headers['x-own'] ?? '',
      },
      (version) => ({ 'X-Own': version }),
    ],
  ])(
    'holds the version that comes in %s, so one key makes a record for each',
    async (_what, versioning, headers) => {
      const prepare = (nest: INestApplication) => void nest.enableVersioning(versioning);

      expect(
        await named({ controllers: [OrdersV1], prepare }, [
          ['/orders', { headers: headers('1') }],
          ['/orders', { headers: headers('2') }],
          ['/orders', { headers: headers('3') }],
          ['/orders/neutral'],
        ]),
      ).toEqual(['POST /orders v1', 'POST /orders v2,3', 'POST /orders v2,3', 'POST /orders/neutral']);
    },
  );

  it('holds the version of the controller that inherits the route', async () => {
    abstract class Base {
      @Post()
      @Idempotent()
      create() {
        return this.constructor.name;
      }
    }
    @Controller({ path: 'orders', version: '1' })
    class First extends Base {}
    @Controller({ path: 'orders', version: '2' })
    class Second extends Base {}
    const { app, url } = await start(platform, {
      controllers: [First, Second],
      prepare: (nest) => void nest.enableVersioning({ type: VersioningType.HEADER, header: 'X-Version' }),
    });

    const first = await send({ url }, '/orders', { key: 'k', headers: { 'X-Version': '1' } });
    const second = await send({ url }, '/orders', { key: 'k', headers: { 'X-Version': '2' } });

    expect([first.text, second.text]).toEqual(['First', 'Second']);
    const names: string[] = [];
    for await (const { operation } of app.get(IdempotencyService).find()) names.push(operation);
    expect(names.sort()).toEqual(['POST /orders v1', 'POST /orders v2']);
  });
});
