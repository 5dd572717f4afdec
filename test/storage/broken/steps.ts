import { SimpleStorage, type Row } from '../simple-storage.js';
import { broken, type BrokenStorage } from './broken-storage.js';

const STEP_NAMES = 'steps: any name is kept as it is';
const STEP_BYTES = 'steps: any bytes are kept as they are, also none and many';
const STEP_ORDER =
  'steps: they come back in the order of their first saving, and one saved again keeps its place';

/** Step names pass through something. */
const naming = (seen: (name: string) => string) =>
  class extends SimpleStorage {
    protected override putStep(row: Row, name: string, value: Uint8Array): void {
      super.putStep(row, seen(name), value);
    }
  };

export const brokenSteps: readonly BrokenStorage[] = [
  broken(
    'a step saved again moves to the end',
    [STEP_ORDER],
    class extends SimpleStorage {
      protected override putStep(row: Row, name: string, value: Uint8Array): void {
        row.steps.delete(name);
        super.putStep(row, name, value);
      }
    },
  ),
  broken(
    'a step saved again keeps its old value',
    [STEP_ORDER],
    class extends SimpleStorage {
      protected override putStep(row: Row, name: string, value: Uint8Array): void {
        if (!row.steps.has(name)) super.putStep(row, name, value);
      }
    },
  ),
  broken(
    'steps come back by name',
    [STEP_ORDER],
    class extends SimpleStorage {
      protected override givenSteps(steps: Map<string, Uint8Array>): Map<string, Uint8Array> {
        return new Map([...super.givenSteps(steps)].sort(([one], [other]) => (one < other ? -1 : 1)));
      }
    },
  ),
  broken(
    'steps are kept in a plain object',
    [STEP_ORDER, STEP_NAMES],
    class extends SimpleStorage {
      protected override givenSteps(steps: Map<string, Uint8Array>): Map<string, Uint8Array> {
        const plain: Record<string, Uint8Array> = {};
        for (const [name, value] of super.givenSteps(steps)) plain[name] = value;
        return new Map(Object.entries(plain));
      }
    },
  ),
  broken(
    'step names are compared without case',
    [STEP_NAMES],
    naming((name) => name.toLowerCase()),
  ),
  broken(
    'step names are trimmed',
    [STEP_NAMES],
    naming((name) => name.trim()),
  ),
  broken(
    'step names are compared without accents',
    [STEP_NAMES],
    naming((name) => name.replace('é', 'e')),
  ),
  broken(
    'a step without bytes is dropped',
    [STEP_BYTES],
    class extends SimpleStorage {
      protected override putStep(row: Row, name: string, value: Uint8Array): void {
        if (value.length > 0) super.putStep(row, name, value);
      }
    },
  ),
];
