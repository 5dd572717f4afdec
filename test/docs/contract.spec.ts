import { expect, it } from '@jest/globals';
import { storageContract } from '../../libs/idempotency/src/testing/index.js';
import { clausesOnPage, CONTRACT_COLUMNS, readPage } from '../storage/contract-page.js';

it('docs/contract.md names every clause of the contract, and no other', () => {
  expect(clausesOnPage()).toEqual(storageContract.map(({ name }) => name));
});

it.each(CONTRACT_COLUMNS)('docs/contract.md has no hole in the column of %s', (column) => {
  const held = readPage().get(column);
  expect(storageContract.map(({ name }) => name).filter((name) => held?.has(name) !== true)).toEqual([]);
});
