import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

export const root = process.cwd();

/** What git ignores, and git itself. */
const NOT_OURS = new Set(['.git', 'node_modules', 'dist', '.data', 'coverage']);

/** Every file of the repository, by its path from the root. */
export function filesOfRepository(folder = root): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (NOT_OURS.has(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesOfRepository(path) : [relative(root, path)];
  });
}

export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** One Markdown file, as the tests of the docs see it. */
export interface Page {
  readonly path: string;
  readonly lines: readonly string[];
  readonly blocks: readonly CodeBlock[];
  readonly headings: readonly Heading[];
  /** The lines outside code blocks and comments; the others are empty, so that numbers stay. */
  readonly prose: readonly string[];
}

export interface CodeBlock {
  readonly language: string;
  readonly code: string;
  /** Number of the first line of the code, from 1. */
  readonly line: number;
  /** What a comment `<!-- ts … -->` right before the block says: needed to compile it, and not worth reading. */
  readonly prelude: string;
}

export interface Heading {
  readonly level: number;
  readonly text: string;
  /** As GitHub makes it. */
  readonly anchor: string;
}

export function readPage(path: string): Page {
  const lines = readText(path).split('\n');
  const blocks: CodeBlock[] = [];
  const prose: string[] = [];
  let prelude = '';
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const fence = /^```(\w*)$/.exec(line);
    const end = fence ? lines.indexOf('```', at + 1) : line.startsWith('<!--') ? commentEnd(lines, at) : at;
    if (end === -1) throw new Error(`${path}:${at + 1} opens what is never closed`);
    const inside = lines.slice(at + 1, end).join('\n');
    if (fence) blocks.push({ language: fence[1] ?? '', code: inside, line: at + 2, prelude });
    if (fence || (line !== '' && end === at)) prelude = '';
    if (line === '<!-- ts') prelude = inside;
    for (let number = at; number <= end; number += 1)
      prose.push(end === at && !line.startsWith('<!--') ? line : '');
    at = end;
  }
  return { path, lines, blocks, prose, headings: headingsOf(prose) };
}

export const pages: readonly Page[] = filesOfRepository()
  .filter((path) => path.endsWith('.md'))
  .map(readPage);

export function page(path: string): Page {
  const found = pages.find((candidate) => candidate.path === path);
  if (found === undefined) throw new Error(`there is no ${path}`);
  return found;
}

/** The rows of every table whose head has these names, by the names of its columns. */
export function rowsUnder(lines: readonly string[], ...names: readonly string[]): Record<string, string>[] {
  const rows: Record<string, string>[] = [];
  let columns: readonly string[] | undefined;
  for (const line of lines) {
    const cells = line.startsWith('|') ? cellsOf(line) : undefined;
    if (cells === undefined) columns = undefined;
    else if (columns === undefined) columns = cells;
    else if (names.every((name) => columns?.includes(name)) && !cells.every((cell) => /^:?-+:?$/.test(cell)))
      rows.push(Object.fromEntries(columns.map((name, at) => [name, cells[at] ?? ''])));
  }
  if (rows.length === 0) throw new Error(`there is no table with ${names.join(', ')}`);
  return rows;
}

function cellsOf(line: string): string[] {
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** The text without the backticks around it. */
export function plain(cell: string): string {
  return cell.replace(/^`(.*)`$/, '$1');
}

function commentEnd(lines: readonly string[], from: number): number {
  return lines.findIndex((line, at) => at >= from && line.includes('-->'));
}

function headingsOf(prose: readonly string[]): Heading[] {
  const seen = new Map<string, number>();
  return prose.flatMap((line) => {
    const [, marks, text] = /^(#{1,6}) (.+)$/.exec(line) ?? [];
    if (marks === undefined || text === undefined) return [];
    const name = text
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    const times = seen.get(name) ?? 0;
    seen.set(name, times + 1);
    return [{ level: marks.length, text, anchor: times === 0 ? name : `${name}-${times}` }];
  });
}
