import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { groups } from './all-kinds.js';
import { takeHandlerRuns } from './handler-runs.js';
import { isKnown } from './kind.js';
import { startResponsesApp, type ResponsesApp } from './responses-app.js';
import { Findings, renderPage } from './responses-page.js';
import { replayed } from './retries.js';
import { settings } from './settings.js';
import { shares, storageNames, storageServers, type StorageServer } from './storages.js';

const controllers = groups.flatMap((group) => group.controllers);
const kinds = groups.flatMap((group) => group.kinds);

/** Holds every kind of response to its promise, over the storages that are the share of that spec. */
export function holdResponses(spec: string): void {
  const share = shares[basename(spec)] ?? [];
  const findings = new Findings(share);

  describe.each(share)('over %s', (storageName) => {
    let server: StorageServer;
    beforeAll(async () => {
      server = await storageServers[storageName]();
    }, 30_000);
    afterAll(() => server.stop(), 30_000);

    describe.each(settings)('on $title', (setting) => {
      let app: ResponsesApp;
      beforeAll(async () => {
        const storage = await server.open();
        app = await startResponsesApp({ setting, storage, controllers });
      });
      afterAll(() => app.close());

      for (const kind of kinds.filter((known) => isKnown(known, setting))) {
        const retry = kind.retry ?? replayed;
        it(`${kind.name} ${retry.does}`, async () => {
          takeHandlerRuns();
          await retry.run(app.trial(kind));
          findings.holds(kind, setting, storageName);
        });
      }
    });
  });

  describe('docs/responses.md', () => {
    it('names every kind of response once', () => {
      const names = kinds.map(({ name }) => name);
      expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    });

    it('has each storage tried by one spec', () => {
      const specs = readdirSync(import.meta.dirname).filter((file) => /^responses-\d\.spec\.ts$/.test(file));
      expect(Object.keys(shares)).toEqual(specs.toSorted());
      expect(Object.values(shares).flat().toSorted()).toEqual(storageNames.toSorted());
    });

    // UPDATE_DOCS=1 writes the page.
    it('says what these tests have shown', () => {
      const file = new URL('../../../docs/responses.md', import.meta.url);
      const shown = renderPage(groups, findings);
      if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file, shown);
      expect(readFileSync(file, 'utf8')).toBe(shown);
    });
  });
}
