import { describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import ts from 'typescript';
import { pages, root } from './support/markdown.js';

/** Every block as a file of its own, in a folder that does not exist, so that imports mean what they mean in the tests. */
const blocks = new Map(
  pages.flatMap(({ path, blocks }) =>
    blocks
      .filter(({ language }) => language === 'ts')
      .map((block) => {
        const file = join(root, 'test/docs/blocks', `${path.replaceAll('/', '-')}-${block.line}.ts`);
        return [
          file,
          { ...block, place: path, text: `${block.prelude}\n${block.code}\nexport {};\n` },
        ] as const;
      }),
  ),
);

function compile(): ts.Program {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), (file) => ts.sys.readFile(file));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (file) => blocks.has(file) || fileExists(file);
  host.getSourceFile = (file, languageVersion, ...more) => {
    const block = blocks.get(file);
    return block
      ? ts.createSourceFile(file, block.text, languageVersion)
      : getSourceFile(file, languageVersion, ...more);
  };
  return ts.createProgram([...blocks.keys()], options, host);
}

describe('the TypeScript in the docs', () => {
  it('compiles against the sources, block by block', () => {
    const program = compile();
    const errors = [...blocks].flatMap(([file, { place, line, prelude }]) => {
      const source = program.getSourceFile(file);
      return ts.getPreEmitDiagnostics(program, source).map(({ start = 0, messageText }) => {
        const at = source?.getLineAndCharacterOfPosition(start).line ?? 0;
        const number = line + at - prelude.split('\n').length;
        return `${place}:${number}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
      });
    });
    expect(errors).toEqual([]);
    expect(blocks.size).toBeGreaterThan(15);
  }, 120_000);
});
