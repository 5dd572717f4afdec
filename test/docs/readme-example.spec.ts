import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Type } from '@nestjs/common';
import ts from 'typescript';
import { startApp, type RunningApp } from '../support/apps.js';
import { page } from './support/markdown.js';

const [example, commands] = page('README.md').blocks;

/** What `AppModule` of the README is when somebody pastes it into a file. */
async function exportsOf(code: string): Promise<{ AppModule: Type }> {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: {
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2023,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
    },
  });
  const packages = new Map<string, unknown>();
  for (const [, name = ''] of code.matchAll(/ from '([^']+)'/g)) packages.set(name, await import(name));
  const exported = {};
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- this is the code under test
  const run = new Function('require', 'exports', outputText) as (require: unknown, exports: object) => void;
  run((name: string) => packages.get(name), exported);
  return exported as { AppModule: Type };
}

/** One line of curl, and what the comment behind it says that it prints. */
interface Command {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly status: number;
  readonly json: Record<string, unknown>;
  readonly header: string | undefined;
}

function commandIn(line: string): Command {
  const match =
    /^curl -i localhost:3000(?<path>\S+) -H '(?<header>[^']+)' --json '(?<body>[^']+)' # (?<status>\d+) (?<json>\{.*?\})(?: (?<printed>.+))?$/.exec(
      line,
    );
  if (match?.groups === undefined) throw new Error(`not the form of the README's commands: ${line}`);
  const { path = '', header = '', body = '', status, json = '', printed } = match.groups;
  const [name = '', value = ''] = header.split(': ');
  return {
    path,
    headers: { [name]: value, 'content-type': 'application/json' },
    body,
    status: Number(status),
    json: JSON.parse(json) as Record<string, unknown>,
    header: printed,
  };
}

describe('the example of the README', () => {
  let app: RunningApp;
  beforeAll(async () => {
    const { AppModule } = await exportsOf(example?.code ?? '');
    app = await startApp('express', { imports: [AppModule] });
  });
  afterAll(() => app.close());

  it('runs as it stands there, and the two commands print what it says', async () => {
    const [first, second] = (commands?.code ?? '').split('\n').map(commandIn);
    const bodies: string[] = [];
    for (const command of [first, second]) {
      if (command === undefined) throw new Error('the README has two commands');
      const { path, headers, body, status, json, header } = command;
      const answer = await fetch(app.url + path, { method: 'POST', headers, body });
      const text = await answer.text();
      bodies.push(text);
      expect(answer.status).toBe(status);
      // The id is another one each time the README's example starts.
      expect(JSON.parse(text)).toEqual({ ...json, id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
      const replayed = answer.headers.get('idempotent-replayed');
      expect(replayed === null ? undefined : `Idempotent-Replayed: ${replayed}`).toBe(header);
    }
    expect(first?.json).toEqual(second?.json);
    expect(bodies[0]).toBe(bodies[1]);
  });
});
