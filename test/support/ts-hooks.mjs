// Lets a plain `node` run the sources, for tests that need a second process: `node --import ./test/support/ts-hooks.mjs x.ts`.
import { readFileSync } from 'node:fs';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import ts from 'typescript';

const root = new URL('../../', import.meta.url);
const aliases = [
  [/^nestjs-idempotent(?:\/(\w+))?$/, (entry) => `libs/idempotency/src/${entry ? `${entry}/` : ''}index.ts`],
];

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
  const { outputText } = ts.transpileModule(readFileSync(fileURLToPath(url), 'utf8'), {
    fileName: fileURLToPath(url),
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      inlineSourceMap: true,
      verbatimModuleSyntax: false,
    },
  });
  return { format: 'module', source: outputText, shortCircuit: true };
}
