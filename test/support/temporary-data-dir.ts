import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Open to the account that PostgreSQL runs as when the tests run as root. */
export function temporaryDataDir(): string {
  const folder = mkdtempSync(join(tmpdir(), 'test-orders-'));
  chmodSync(folder, 0o755);
  return folder;
}
