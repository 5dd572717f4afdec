import { beforeAll, it } from '@jest/globals';

/**
 * For tests that mostly wait, and that nothing ties to each other: all of them begin together, and each tells of itself under its
 * own name. They get none of what `beforeEach` makes.
 */
export function itAtOnce(tests: Readonly<Record<string, () => Promise<void>>>, withinMs: number): void {
  const outcomes = new Map<string, Promise<void>>();
  beforeAll(() => {
    for (const [name, test] of Object.entries(tests)) {
      const outcome = test();
      // Whoever asks for it hears of the failure; nobody may have asked yet.
      outcome.catch(() => {});
      outcomes.set(name, outcome);
    }
  });
  for (const name of Object.keys(tests)) it(name, () => outcomes.get(name), withinMs);
}
