export { MemoryStorage, type MemoryStorageOptions } from '../core/memory-storage.js';
export type { ContractCase, ContractHarness } from './contract/contract-case.js';
export { FakeClock } from './fake-clock.js';
export { FaultyStorage, faultyStorage, type StorageCall, type StorageMethod } from './faulty-storage.js';
export { Gate } from './gate.js';
export { seededRandomness } from './seeded-randomness.js';
export { storageContract } from './storage-contract.js';
