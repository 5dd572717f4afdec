import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Injectable, Post, type PipeTransform } from '@nestjs/common';
import {
  Idempotent,
  IdempotentOp,
  type IdempotentOperation,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import type { Logger } from 'typeorm';
import { expectProblem, expectReplayOf, retryAfter, send, type Received } from '../http/support/requests.js';
import { freePort } from '../support/free-port.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { eventually, usePostgres } from '../support/postgres-fixture.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { transactional, useShop, type DatabaseName, type OpenShop } from './support/shop.js';

const fixtures = { PostgreSQL: usePostgres(), MariaDB: useMariaDb() };
const databases: readonly DatabaseName[] = ['PostgreSQL', 'MariaDB'];

describe.each(databases)('the connection to %s', (database) => {
  const fixture = fixtures[database];
  let proxy: TcpProxy;
  let onCommit: (() => void) | undefined;
  let runs = 0;
  const nothing = () => undefined;
  const logger: Logger = {
    logQuery: (sql) => {
      if (sql === 'COMMIT') onCommit?.();
    },
    logQueryError: nothing,
    logQuerySlow: nothing,
    logSchemaBuild: nothing,
    logMigration: nothing,
    log: nothing,
  };
  beforeAll(async () => {
    proxy = await startTcpProxy(fixture.server.port);
  });
  const shop = useShop(fixture, () => ({ port: proxy.port, logger }));
  afterAll(() => proxy.close());
  beforeEach(() => {
    runs = 0;
  });
  afterEach(() => {
    onCommit = undefined;
  });

  const pay = (options: IdempotentOptions = { lease: '2s' }) =>
    transactional(
      'pay',
      async (op) => {
        runs += 1;
        await shop.effects.insert({ what: 'debit', attempt: op.attempt });
        return { attempt: op.attempt };
      },
      options,
    );
  const cut = () => {
    onCommit = undefined;
    proxy.pointTo(fixture.server.port);
  };

  async function retried(app: OpenShop): Promise<Received> {
    return eventually(async () => {
      const answer = await send(app, '/pay', { key: 'k' });
      expect(answer.json?.code).toBeUndefined();
      return answer;
    });
  }

  it('that is lost before the commit is sent: 503, nothing has happened, and the retry does it once', async () => {
    const app = await shop.open('express', { controllers: [pay()] });
    onCommit = cut;

    const first = await send(app, '/pay', { key: 'k' });
    expectProblem(first, 503, 'commit-failed');
    expect(retryAfter(first)).toBe(1);
    expect(await shop.committed()).toEqual([]);
    const retry = await retried(app);
    expect([retry.json, retry.headers.get('idempotent-replayed')]).toEqual([{ attempt: 2 }, null]);
    expect(await shop.committed()).toEqual(['debit 2']);
    expect(app.events).toContain('commit-failed');
  });

  it('that is lost with the answer to the commit: 503, it has happened, and the retry gets what was recorded', async () => {
    const app = await shop.open('express', { controllers: [pay()] });
    onCommit = () => {
      onCommit = undefined;
      proxy.holdReplies();
    };

    const first = send(app, '/pay', { key: 'k' });
    await eventually(async () => expect(await shop.committed()).toEqual(['debit 1']));
    cut();
    proxy.releaseReplies();
    expectProblem(await first, 503, 'commit-failed');

    const retry = await retried(app);
    expect([retry.status, retry.json, retry.headers.get('idempotent-replayed')]).toEqual([
      201,
      { attempt: 1 },
      'true',
    ]);
    expect([runs, await shop.committed()]).toEqual([1, ['debit 1']]);
    expect(app.events).not.toContain('superseded');
  });

  it('that stands still at the commit: 503 when the lease is over, and the retry gets the truth', async () => {
    const app = await shop.open('express', { controllers: [pay({ lease: '1s', storageTimeout: '300ms' })] });
    onCommit = () => {
      onCommit = undefined;
      proxy.holdReplies();
    };

    const startedAt = performance.now();
    const first = await send(app, '/pay', { key: 'k' });
    expectProblem(first, 503, 'commit-failed');
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1000);
    proxy.releaseReplies();

    const retry = await retried(app);
    expect([retry.json, retry.headers.get('idempotent-replayed')]).toEqual([{ attempt: 1 }, 'true']);
    expect([runs, await shop.committed()]).toEqual([1, ['debit 1']]);
  });

  it('that cannot be had when the handler is to begin: 503 storage-unavailable, and it does not run', async () => {
    const gate = new Gate();
    @Injectable()
    class Waiting implements PipeTransform {
      async transform(op: IdempotentOperation) {
        await gate.pass();
        return op;
      }
    }
    @Controller()
    class Payments {
      @Post('pay')
      @Idempotent({ transactional: true, lease: '2s' })
      async pay(@IdempotentOp(Waiting) op: IdempotentOperation) {
        runs += 1;
        await shop.effects.insert({ what: 'debit', attempt: op.attempt });
        return { attempt: op.attempt };
      }
    }
    const app = await shop.open('express', { controllers: [Payments] });
    const first = send(app, '/pay', { key: 'k' });
    await gate.reached();
    proxy.pointTo(await freePort());
    gate.open();

    expectProblem(await first, 503, 'storage-unavailable');
    expect(runs).toBe(0);
    proxy.pointTo(fixture.server.port);
    const retry = await retried(app);
    expectReplayOf(retry, await send(app, '/pay', { key: 'k' }));
    expect([runs, (await shop.committed()).length]).toEqual([1, 1]);
  });
});
