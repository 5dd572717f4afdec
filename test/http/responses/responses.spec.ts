import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { platforms } from '../../support/apps.js';
import { groups } from './all-kinds.js';
import { takeHandlerRuns } from './handler-runs.js';
import { startResponsesApp, type ResponsesApp } from './responses-app.js';
import { replayed } from './retries.js';
import { storageNames, storageServers, type StorageServer } from './storages.js';

const controllers = groups.flatMap((group) => group.controllers);

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

        for (const { kinds } of groups) {
          for (const kind of kinds.filter(({ on }) => on === undefined || on === platform)) {
            const retry = kind.retry ?? replayed;
            it(`${kind.name} ${retry.does}`, async () => {
              takeHandlerRuns();
              await retry.run(app.trial(kind));
            });
          }
        }
      });
    }
  }
});
