import { join } from 'node:path';
import ts from 'typescript';

const checkout = join(import.meta.dirname, '..', '..', '..');

/** The sources of the apps, parsed and resolved by the compiler. */
export interface Sources {
  readonly program: ts.Program;
  readonly checker: ts.TypeChecker;
  /** The apps' own files: what is followed. */
  readonly files: readonly ts.SourceFile[];
  readonly checkout: string;
}

/**
 * @param changed texts that stand in for those on disk, by path from the checkout: how a test removes a point
 * @param earlier its unchanged files are not parsed again
 */
export function readSources(changed: ReadonlyMap<string, string> = new Map(), earlier?: Sources): Sources {
  const config = ts.getParsedCommandLineOfConfigFile(
    join(checkout, 'tsconfig.json'),
    {},
    {
      ...ts.sys,
      onUnRecoverableConfigFileDiagnostic: ({ messageText }) => {
        throw new Error(ts.flattenDiagnosticMessageText(messageText, '\n'));
      },
    },
  );
  if (!config) throw new Error('tsconfig.json cannot be read.');
  const apps = join(checkout, 'apps') + '/';
  const rootNames = config.fileNames.filter((name) => name.startsWith(apps) && !name.endsWith('.spec.ts'));
  const host = ts.createCompilerHost(config.options);
  const read = host.readFile.bind(host);
  host.readFile = (name) => changed.get(name.slice(checkout.length + 1)) ?? read(name);
  const getSourceFile = host.getSourceFile.bind(host);
  host.getSourceFile = (name, ...rest) => {
    const same = changed.has(name.slice(checkout.length + 1))
      ? undefined
      : earlier?.program.getSourceFile(name);
    return same ?? getSourceFile(name, ...rest);
  };
  const program = ts.createProgram({ rootNames, options: config.options, host });
  const files = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(apps));
  return { program, checker: program.getTypeChecker(), files, checkout };
}

/** `apps/orders/src/orders/orders.service.ts:27` */
export function placeOf(node: ts.Node, { checkout: root }: Sources): string {
  const file = node.getSourceFile();
  const { line } = file.getLineAndCharacterOfPosition(node.getStart());
  return `${file.fileName.slice(root.length + 1)}:${line + 1}`;
}
