// Lets a plain `node` run the sources, for tests that need a second process: `node --import ./test/support/ts-hooks.mjs x.ts`.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread, threadId } from 'node:worker_threads';

const root = new URL('../../', import.meta.url);
const aliases = [
  [/^nestjs-idempotent(?:\/(\w+))?$/, (entry) => `libs/idempotency/src/${entry ? `${entry}/` : ''}index.ts`],
];
/** What was compiled once, by any process: to compile all of it takes longer than most tests. */
const cache = new URL('node_modules/.cache/ts-hooks/', root);
const compiler = ['test/support/ts-hooks.mjs', 'node_modules/typescript/package.json'].map((file) =>
  readFileSync(new URL(file, root)),
);

if (isMainThread) register(import.meta.url);

export async function resolve(specifier, context, next) {
  for (const [pattern, file] of aliases) {
    const match = pattern.exec(specifier);
    if (match) return { url: new URL(file(match[1]), root).href, shortCircuit: true };
  }
  const relative = specifier.startsWith('.') && specifier.endsWith('.js');
  return next(
    relative && context.parentURL?.endsWith('.ts') ? specifier.replace(/\.js$/, '.ts') : specifier,
    context,
  );
}

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const fileName = fileURLToPath(url);
  const source = readFileSync(fileName, 'utf8');
  const hash = createHash('sha256');
  for (const part of [...compiler, fileName, '\0', source]) hash.update(part);
  const compiled = new URL(`${hash.digest('hex')}.mjs`, cache);
  return {
    format: 'module',
    source: cached(compiled) ?? (await compile(fileName, source, compiled)),
    shortCircuit: true,
  };
}

function cached(compiled) {
  try {
    return readFileSync(compiled, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function compile(fileName, source, compiled) {
  const { default: ts } = await import('typescript');
  const { outputText } = ts.transpileModule(source, {
    fileName,
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      inlineSourceMap: true,
      verbatimModuleSyntax: false,
    },
  });
  // Other processes read it as soon as it has its name.
  mkdirSync(cache, { recursive: true });
  const written = new URL(`${process.pid}-${threadId}.tmp`, cache);
  writeFileSync(written, outputText);
  renameSync(written, compiled);
  return outputText;
}
