import { isKnown, type Group, type Kind } from './kind.js';
import { replayed } from './retries.js';
import { settings, type Setting } from './settings.js';
import { storageNames, type StorageName } from './storages.js';

/** What a run of the tests has shown, for some of the storages. */
export class Findings {
  private readonly held = new Set<string>();

  constructor(private readonly tried: readonly StorageName[]) {}

  holds(kind: Kind, setting: Setting, storageName: StorageName): void {
    this.held.add(placeOf(kind, setting, storageName));
  }

  /** Of a storage that another spec tries it is for that one to say when a kind does not hold. */
  mark(kind: Kind, setting: Setting, storageName: StorageName): '✓' | '✗' | '–' {
    if (!isKnown(kind, setting)) return '–';
    const holds = !this.tried.includes(storageName) || this.held.has(placeOf(kind, setting, storageName));
    return holds ? '✓' : '✗';
  }
}

function placeOf({ name }: Kind, { title }: Setting, storageName: StorageName): string {
  return JSON.stringify([name, title, storageName]);
}

const INTRODUCTION = `# Responses

Every kind of response that the tests hold to one run and one answer. Each is asked for without a key, with a key, and
with the same key again: the first answer has to be the very answer of the unprotected route, status, headers and bytes;
the handler may run once; and a retry has to get what the second column says. With compression the retry comes from
clients that accept gzip, Brotli and nothing, and the bytes are compared after decoding.

The marks of a cell stand for the storages ${storageNames.join(', ')}. ✓ holds, ✗ does not, – the platform does not know it.
"Outside" is an interceptor that is registered before \`IdempotencyModule\`, "inside" one that is registered after it or
on the route.

The page is written by \`UPDATE_DOCS=1 npm run jest -- test/http/responses\`; a test fails when it says anything else than
the tests show.
`;

const LIMITS = `## Where the promise ends

- \`Set-Cookie\`, CORS and rate-limit headers, \`Date\` and hop-by-hop headers belong to one exchange: a replay has its own.
- What a handler does to the response after something else has answered (a header, a status, an answer of its own) is lost.
  Its value is not: a retry gets it, unless JSON would not bring it back as it was.
- An answer that a handler with \`@Res()\` has ended is its outcome, whatever the handler does after it, and also when it
  throws. The answer is held for that work, a second at most, and not at all where somebody listens for the response's
  end, as \`await pipeline(file, res)\` does.
- When its client leaves, Nest gives up a stream or generator that a handler returns bare: a retry gets 409. In a
  \`StreamableFile\` it is produced to its end, and replayed.
- On Fastify, what is written to \`reply.raw\` passes by all hooks, and so does its replay: neither is compressed.
- HTTP/2 has no reason phrases and frames bodies by itself; what is recorded over one version is replayed over the other.
`;

/** docs/responses.md, formatted as prettier does. */
export function renderPage(groups: readonly Group[], findings: Findings): string {
  const sections = groups.map(({ title, kinds }) => `## ${title}\n\n${table(kinds, findings)}`);
  return [INTRODUCTION, ...sections, LIMITS].join('\n');
}

function table(kinds: readonly Kind[], findings: Findings): string {
  const head = ['Response', 'A retry gets', ...settings.map(({ title }) => title)];
  const rows = kinds.map((kind) => [
    kind.name.replace(/,$/, ''),
    (kind.retry ?? replayed).word,
    ...settings.map((setting) =>
      storageNames.map((storageName) => findings.mark(kind, setting, storageName)).join(' '),
    ),
  ]);
  const widths = head.map((title, index) =>
    Math.max(...[head, ...rows].map((row) => row[index]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |\n`;
  return line(head) + line(widths.map((width) => '-'.repeat(width))) + rows.map(line).join('');
}
