import { afterEach, describe, expect, it } from '@jest/globals';
import { expectProblem, expectReplayOf, retryAfter, send, type Received } from '../http/support/requests.js';
import { startChildApp, type ChildApp } from '../support/child-app.js';
import { useMariaDb } from '../support/mariadb-fixture.js';
import { eventually, usePostgres } from '../support/postgres-fixture.js';
import { transactional, useShop, type DatabaseName, type OpenShop } from './support/shop.js';

const fixtures = { PostgreSQL: usePostgres(), MariaDB: useMariaDb() };
const databases: readonly DatabaseName[] = ['PostgreSQL', 'MariaDB'];
const LEASE = { lease: '1s', storageTimeout: '500ms' };

describe.each(databases)('a process with a transactional handler on %s', (database) => {
  const shop = useShop(fixtures[database]);
  const children: ChildApp[] = [];
  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.stop()));
  });

  async function startChild(env: Record<string, string> = {}): Promise<ChildApp> {
    const {
      type,
      host,
      port,
      username,
      password,
      database: name,
    } = shop.outside.options as never as Record<string, unknown>;
    const address = JSON.stringify({ type, host, port, username, password, database: name });
    const child = await startChildApp('test/transaction/support/crash-app.ts', { DATABASE: address, ...env });
    children.push(child);
    return child;
  }

  const pay = () =>
    transactional(
      'pay',
      async (op) => {
        await shop.effects.insert({ what: 'debit', attempt: op.attempt });
        await shop.effects.insert({ what: 'credit', attempt: op.attempt });
        return { attempt: op.attempt };
      },
      LEASE,
    );

  /** What a retry gets elsewhere, when it is told to wait no more. */
  async function retried(app: OpenShop): Promise<Received> {
    return eventually(async () => {
      const answer = await send(app, '/pay', { key: 'k' });
      expect(answer.json?.code).not.toBe('key-in-progress');
      return answer;
    });
  }

  // Each needs a process of its own; the demo of crashes kills at every point there is, on both.
  it.each(database === 'MariaDB' ? ['before the commit'] : ['in the handler', 'before the commit'])(
    'that is killed %s has done nothing: the retry does all of it once, as attempt 2',
    async (point) => {
      const app = await shop.open('express', { controllers: [pay()] });
      const child = await startChild({ CRASH: point });

      await expect(send(child, '/pay', { key: 'k' })).rejects.toThrow();
      expect(await shop.committed()).toEqual([]);
      const retry = await retried(app);
      expect([retry.status, retry.json]).toEqual([201, { attempt: 2 }]);
      expect(await shop.committed()).toEqual(['debit 2', 'credit 2']);
      expectReplayOf(retry, await send(app, '/pay', { key: 'k' }));
    },
  );

  it('that is killed after the commit has done all of it: the retry gets the recorded answer', async () => {
    const app = await shop.open('express', { controllers: [pay()] });
    const child = await startChild({ CRASH: 'after the commit' });

    await expect(send(child, '/pay', { key: 'k' })).rejects.toThrow();
    const retry = await send(app, '/pay', { key: 'k' });
    expect([retry.status, retry.json, retry.headers.get('idempotent-replayed')]).toEqual([
      201,
      { attempt: 1 },
      'true',
    ]);
    expect(await shop.committed()).toEqual(['debit 1', 'credit 1']);
  });

  if (database === 'PostgreSQL')
    it('that stands still until another has taken over writes nothing when it goes on', async () => {
      const app = await shop.open('express', { controllers: [pay()] });
      const child = await startChild();
      const late = send(child, '/pay', { key: 'k' });
      await eventually(() => expect(child.output()).toContain('in the handler'));
      child.signal('SIGSTOP');

      const successor = await retried(app);
      expect([successor.status, successor.json]).toEqual([201, { attempt: 2 }]);

      child.signal('SIGCONT');
      child.signal('SIGUSR2');
      const answer = await late;
      expectProblem(answer, 503, 'commit-failed');
      expect(retryAfter(answer)).toBe(1);
      expect(await shop.committed()).toEqual(['debit 2', 'credit 2']);
      expectReplayOf(successor, await send(child, '/pay', { key: 'k' }));
    });
});
