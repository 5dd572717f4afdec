import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { startChildApp, type ChildApp } from '../support/child-app.js';
import { eventually, usePostgres } from '../support/postgres-fixture.js';
import { ids, placed, startOutbox, useOutboxDatabase } from './support/outbox-app.js';

const postgres = usePostgres();

describe('a process with an outbox', () => {
  const database = useOutboxDatabase(postgres);

  async function killed(crash: string): Promise<ChildApp> {
    const {
      type,
      host,
      port,
      username,
      database: name,
    } = database.dataSource.options as never as Record<string, unknown>;
    const address = JSON.stringify({ type, host, port, username, database: name });
    const child = await startChildApp('test/outbox/support/crash-process.ts', {
      DATABASE: address,
      CRASH: crash,
    });
    if (child.process.signalCode === null) await once(child.process, 'exit');
    expect(child.process.signalCode).toBe('SIGKILL');
    return child;
  }

  it('that is killed before the commit of what it has added leaves nothing to send', async () => {
    await killed('before the commit');
    const app = await startOutbox(database.dataSource);
    expect(await app.relay.runOnce()).toMatchObject({ claimed: 0 });
    expect(await app.outbox.counts()).toMatchObject({ waiting: 0 });
  });

  it('that is killed after it has published, before it has marked that, leaves it to another under the same id, in order', async () => {
    const adding = await startOutbox(database.dataSource, { relay: false });
    await adding.add(placed('a', 'm1'));
    const child = await killed('before the mark');
    await adding.add(placed('a', 'm3'));
    expect(child.output()).toContain('published m1');

    const app = await startOutbox(database.dataSource, { relay: { pollEvery: '50ms' } });
    await eventually(() => expect(app.published.length).toBeGreaterThanOrEqual(2));
    const sent = ids(app.published);
    // Whether it came to its own message before it died is chance.
    expect(sent).toEqual(sent.includes('m2') ? ['m1', 'm2', 'm3'] : ['m1', 'm3']);
    expect(app.published[0]).toMatchObject({ id: 'm1', attempt: 2 });
  });
});
