/** Every test runs from the sources, as ESM: see CONTRIBUTING.md. */
export default {
  testEnvironment: 'node',
  // Most tests take milliseconds; those with servers and processes share two cores with others.
  testTimeout: 30_000,
  // Modules of a suite that is over stay in memory (ESM in Jest), and a worker that is full of them gets up to three times slower.
  workerIdleMemoryLimit: '1GB',
  testSequencer: '<rootDir>/test/support/longest-first.js',
  roots: ['<rootDir>/libs', '<rootDir>/apps', '<rootDir>/test'],
  testRegex: '\\.spec\\.ts$',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^@fastify/static$': '<rootDir>/test/support/no-static-files.cjs',
    '^(\\.{1,2}/.*)\\.js$': '$1',
    '^nestjs-idempotent$': '<rootDir>/libs/idempotency/src/index.ts',
    '^nestjs-idempotent/(redis|typeorm|testing)$': '<rootDir>/libs/idempotency/src/$1/index.ts',
  },
  modulePathIgnorePatterns: ['<rootDir>/libs/[^/]+/dist', '<rootDir>/dist'],
  transform: { '^.+\\.ts$': ['ts-jest', { useESM: true, diagnostics: false }] },
};
