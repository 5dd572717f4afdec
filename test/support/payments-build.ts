import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const checkout = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
/** All that the payment service is made of; the library is not. */
const FOLDERS = ['apps/payments/src', 'apps/shared/src'];

/**
 * The payment service as JavaScript, made once from these very sources; answers its `main.js`. It is started dozens of
 * times by the tests, and compiling takes five times as long as starting.
 */
export function buildPayments(): string {
  const sources = FOLDERS.flatMap(filesBelow).map((path) => ({
    path,
    text: readFileSync(join(checkout, path), 'utf8'),
  }));
  const hash = createHash('sha256').update(JSON.stringify(sources)).digest('hex').slice(0, 16);
  const parent = join(checkout, 'dist', 'test-payments');
  const folder = join(parent, hash);
  if (!existsSync(folder)) {
    mkdirSync(parent, { recursive: true });
    const draft = mkdtempSync(join(parent, 'draft-'));
    for (const { path, text } of sources) write(join(draft, path), text);
    moveIntoPlace(draft, folder);
  }
  return join(folder, 'apps/payments/src/main.js');
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(checkout, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.spec.ts'))
    .sort();
}

function write(path: string, text: string): void {
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
    },
  });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path.replace(/\.ts$/, '.js'), outputText);
}

/** Another worker may have been faster with the same. */
function moveIntoPlace(draft: string, folder: string): void {
  try {
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
}
