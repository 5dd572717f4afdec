import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { encryptedCodec, type IdempotentOperation } from 'nestjs-idempotent';
import { storageNames, storageServers, type StorageServer } from '../http/responses/storages.js';
import { job, startService } from '../http/support/services.js';

const codecs = {
  'as they are': [],
  encrypted: encryptedCodec({ keys: [{ id: 'k1', secret: Buffer.alloc(32, 7) }] }),
};

describe.each(storageNames)('Steps on %s', (name) => {
  let server: StorageServer;
  beforeAll(async () => {
    server = await storageServers[name]();
  }, 120_000);
  afterAll(() => server.stop());

  it.each(Object.keys(codecs) as (keyof typeof codecs)[])(
    'are resumed by the next attempt, in another process, %s',
    async (how) => {
      const open = async () =>
        startService({
          storage: name === 'memory' ? shared : await server.open(),
          namespace: 'steps',
          codec: codecs[how],
        });
      const shared = await server.open();
      const log: string[] = [];
      const value = { amount: 1999, currency: 'EUR', note: 'ß “”', lines: [null, true, 0.5] };
      const work = async (op: IdempotentOperation) => {
        const charge = await op.step('charge', () => {
          log.push('charge');
          return value;
        });
        const side = await Promise.all(
          ['x', 'y', 'z'].map((step) => op.step(step, () => void log.push(step))),
        );
        if (op.attempt === 1) throw new Error('a crash');
        return { charge, side: side.length, before: [...op.finishedSteps.keys()].sort() };
      };

      const key = `resumed ${how}`;
      await expect((await open()).run(job(key), work)).rejects.toThrow('a crash');
      const service = await open();
      expect(await service.inspect(service.recordId(job(key)))).toMatchObject({ undoing: false, undone: [] });
      const { value: resumed } = await service.run(job(key), work);

      expect(resumed).toEqual({ charge: value, side: 3, before: ['charge', 'x', 'y', 'z'] });
      expect(log).toEqual(['charge', 'x', 'y', 'z']);
    },
    30_000,
  );
});
