import { ConflictException } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import type { IdempotentOperation } from 'nestjs-idempotent';
import { expectReplayOf, send } from '../http/support/requests.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { usePostgres } from '../support/postgres-fixture.js';
import { transactional, useShop, type DatabaseName } from '../transaction/support/shop.js';

const fixtures = { PostgreSQL: usePostgres(), MariaDB: useMariaDb() };

describe.each(Object.keys(fixtures) as DatabaseName[])(
  'Steps of a transactional handler on %s',
  (database) => {
    const shop = useShop(fixtures[database]);
    const effect = async (what: string, { attempt }: IdempotentOperation) => {
      await shop.effects.insert({ what, attempt });
    };

    it('write outside of its transaction: a rollback takes the handler’s writes, and not those of finished steps', async () => {
      const app = await shop.open('express', {
        controllers: [
          transactional('pay', async (op) => {
            await effect('order', op);
            await op.step('log', () => effect('step', op));
            await effect('receipt', op);
            if (op.attempt === 1) throw new Error('a bug');
            return { attempt: op.attempt };
          }),
        ],
      });

      expect((await send(app, '/pay', { key: 'k' })).status).toBe(500);
      expect(await shop.committed()).toEqual(['step 1']);
      const second = await send(app, '/pay', { key: 'k' });

      expect(second.json).toEqual({ attempt: 2 });
      expect([...(await shop.committed())].sort()).toEqual(['order 2', 'receipt 2', 'step 1']);
      expectReplayOf(second, await send(app, '/pay', { key: 'k' }));
    });

    it('are undone after its writes are rolled back, and the undos may use the database', async () => {
      const app = await shop.open('express', {
        controllers: [
          transactional('pay', async (op) => {
            await effect('order', op);
            await op.step('charge', () => effect('charge', op), { undo: () => effect('refund', op) });
            throw new ConflictException();
          }),
        ],
      });

      const refused = await send(app, '/pay', { key: 'k' });

      expect(refused.status).toBe(409);
      expect(await shop.committed()).toEqual(['charge 1', 'refund 1']);
      expectReplayOf(refused, await send(app, '/pay', { key: 'k' }));
    });
  },
);
