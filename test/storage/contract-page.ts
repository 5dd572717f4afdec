import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { storageContract } from '../../libs/idempotency/src/testing/index.js';

/** One per way to a storage, in the order of the page. A suite that calls `describeContract` fills each. */
export const CONTRACT_COLUMNS = [
  'memory',
  'Redis, node-redis',
  'Redis, ioredis',
  'Cluster, node-redis',
  'Cluster, ioredis',
  'Sentinel, node-redis',
  'Sentinel, ioredis',
  'PostgreSQL',
  'MariaDB',
  'SQLite',
] as const;

export type ContractColumn = (typeof CONTRACT_COLUMNS)[number];

const FILE = new URL('../../docs/contract.md', import.meta.url);

const INTRODUCTION = `# The storage contract

What a storage promises, clause by clause, and what holds it. The clauses are data (\`storageContract\` in
\`nestjs-idempotent/testing\`), so any storage can be held to them under any test runner; there is no way to opt out of
one. Each column is a real server, started by the tests, with two instances of the storage on it. ✓ holds, ✗ does not.

Broken storages show that the clauses can fail: \`test/storage/broken\` plants faults, and each is caught by a clause that
it names.

The page is written by \`UPDATE_DOCS=1 npm run jest -- -w 1 test/storage\`; each suite fails when its column says anything
else than it has shown.
`;

type Marks = ReadonlyMap<ContractColumn, ReadonlySet<string>>;

/** The clauses that the page says hold, by column. */
export function readPage(): Marks {
  const rows = existsSync(FILE) ? readFileSync(FILE, 'utf8').split('\n').filter(isRow).map(cellsOf) : [];
  const [head = [], , ...body] = rows;
  return new Map(
    CONTRACT_COLUMNS.map((column) => {
      const place = head.indexOf(column);
      const held = body.filter((cells) => place > 0 && cells[place] === '✓').map(([clause = '']) => clause);
      return [column, new Set(held)];
    }),
  );
}

/** Clauses that the page has, in its order. */
export function clausesOnPage(): readonly string[] {
  const rows = readFileSync(FILE, 'utf8').split('\n').filter(isRow).map(cellsOf);
  return rows.slice(2).map(([clause = '']) => clause);
}

/** Puts what a run has shown into one column, and leaves the others as they are. */
export function writeColumn(column: ContractColumn, held: ReadonlySet<string>): void {
  const marks = new Map(readPage()).set(column, held);
  writeFileSync(FILE, render(marks));
}

/** Formatted as prettier does. */
function render(marks: Marks): string {
  const head = ['Clause', ...CONTRACT_COLUMNS];
  const rows = storageContract.map(({ name }) => [
    name,
    ...CONTRACT_COLUMNS.map((column) => (marks.get(column)?.has(name) === true ? '✓' : '✗')),
  ]);
  const widths = head.map((_, index) => Math.max(...[head, ...rows].map((row) => row[index]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |\n`;
  return [
    INTRODUCTION,
    line(head) + line(widths.map((width) => '-'.repeat(width))) + rows.map(line).join(''),
  ].join('\n');
}

function isRow(line: string): boolean {
  return line.startsWith('| ');
}

function cellsOf(line: string): readonly string[] {
  return line
    .slice(1, -1)
    .split(' | ')
    .map((cell) => cell.trim());
}
