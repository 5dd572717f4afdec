import { expect, it, jest } from '@jest/globals';
import { InvalidOptionsError } from '../../libs/idempotency/src/core/errors.js';

it('without the package `redis`, the entry can be imported and `start` says what to install', async () => {
  jest.unstable_mockModule('redis', () => {
    throw Object.assign(new Error("Cannot find package 'redis'"), { code: 'ERR_MODULE_NOT_FOUND' });
  });
  const { redisStorage } = await import('../../libs/idempotency/src/redis/index.js');
  const start = redisStorage({ url: 'redis://localhost' }).start?.();
  await expect(start).rejects.toBeInstanceOf(InvalidOptionsError);
  await expect(start).rejects.toThrow('Run `npm install redis`');
});
