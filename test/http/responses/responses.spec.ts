import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { platforms } from '../../support/apps.js';
import { groups } from './all-kinds.js';
import { takeHandlerRuns } from './handler-runs.js';
import { startResponsesApp, type ResponsesApp } from './responses-app.js';
import { Findings, renderPage } from './responses-page.js';
import { replayed } from './retries.js';
import { storageNames, storageServers, type StorageServer } from './storages.js';

const controllers = groups.flatMap((group) => group.controllers);
const findings = new Findings();

describe.each(storageNames)('over %s', (storageName) => {
  let server: StorageServer;
  beforeAll(async () => {
    server = await storageServers[storageName]();
  }, 30_000);
  afterAll(() => server.stop(), 30_000);

  for (const platform of platforms) {
    for (const compressed of [false, true]) {
      describe(`${platform}${compressed ? ' with compression' : ''}`, () => {
        let app: ResponsesApp;
        beforeAll(async () => {
          const storage = await server.open();
          app = await startResponsesApp({ platform, compressed, storage, controllers });
        });
        afterAll(() => app.close());

        for (const kind of groups.flatMap(({ kinds }) => kinds)) {
          if (kind.on !== undefined && kind.on !== platform) continue;
          const retry = kind.retry ?? replayed;
          it(`${kind.name} ${retry.does}`, async () => {
            takeHandlerRuns();
            await retry.run(app.trial(kind));
            findings.holds(kind, { platform, compressed, storageName });
          });
        }
      });
    }
  }
});

describe('docs/responses.md', () => {
  const names = groups.flatMap(({ kinds }) => kinds.map(({ name }) => name));

  it('names every kind of response once', () => {
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  // UPDATE_DOCS=1 writes the page.
  it('says what these tests have shown', () => {
    const file = new URL('../../../docs/responses.md', import.meta.url);
    const shown = renderPage(groups, findings);
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file, shown);
    expect(readFileSync(file, 'utf8')).toBe(shown);
  });
});
