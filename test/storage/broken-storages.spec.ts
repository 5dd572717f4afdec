import { describe, expect, it } from '@jest/globals';
import { FakeClock, storageContract, type ContractCase } from '../../libs/idempotency/src/testing/index.js';
import { brokenStorages } from './broken-storages.js';
import { SimpleStorage } from './simple-storage.js';

async function run(clause: ContractCase, Storage: typeof SimpleStorage): Promise<void> {
  const clock = new FakeClock();
  const storage = new Storage(clock);
  await clause.run({ storage, openPeer: async () => storage.peer(), advance: (ms) => clock.advance(ms) });
}

describe('a sound storage passes the contract', () => {
  for (const clause of storageContract) it(clause.name, () => run(clause, SimpleStorage));
});

describe('the contract catches a storage where', () => {
  it.each(brokenStorages)('$fault', async ({ Storage, caughtBy }) => {
    expect(caughtBy.length).toBeGreaterThan(0);
    for (const name of caughtBy) {
      const clause = storageContract.find((one) => one.name === name);
      expect(clause?.name).toBe(name);
      const caught =
        clause &&
        (await run(clause, Storage).then(
          () => false,
          () => true,
        ));
      expect({ clause: name, caught }).toEqual({ clause: name, caught: true });
    }
  });
});

describe('the contract', () => {
  it('has no clause that catches nothing', () => {
    const proven = new Set(brokenStorages.flatMap(({ caughtBy }) => caughtBy));
    expect(storageContract.map(({ name }) => name).filter((name) => !proven.has(name))).toEqual([]);
  });

  it('names each clause and each fault once, with the topic first', () => {
    const names = storageContract.map(({ name }) => name);
    const faults = brokenStorages.map(({ fault }) => fault);
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(faults).size).toBe(faults.length);
    for (const name of names) expect(name).toMatch(/^[a-z]+: /);
  });
});
