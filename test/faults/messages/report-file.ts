import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { format, resolveConfig } from 'prettier';

const REPORT = 'test/faults/reports/messages.md';

/** What one run writes down; it stays until the same run writes it again. */
export interface Section {
  readonly heading: string;
  readonly text: string;
}

const HEAD = `# Messages under kills

Written by \`npm run faults:consumers\` and \`npm run faults:outbox\`, each its own part; not edited by hand.`;

/** In the order in which a reader wants them. */
const HEADINGS = ['Consumers', 'The same consumers without keys', 'The outbox'];

export async function writeSection(section: Section): Promise<void> {
  const sections = new Map(existsSync(REPORT) ? sectionsOf(readFileSync(REPORT, 'utf8')) : []);
  sections.set(section.heading, section.text);
  const parts = HEADINGS.filter((heading) => sections.has(heading)).map(
    (heading) => `## ${heading}\n\n${sections.get(heading)?.trim()}`,
  );
  const options = await resolveConfig(REPORT);
  writeFileSync(REPORT, await format([HEAD, ...parts].join('\n\n'), { ...options, filepath: REPORT }));
}

function sectionsOf(report: string): [string, string][] {
  return report
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf('\n');
      return [part.slice(0, end), part.slice(end)];
    });
}

export function installed(name: string): string {
  const file = readFileSync(`node_modules/${name}/package.json`, 'utf8');
  return `\`${name}\` ${(JSON.parse(file) as { version: string }).version}`;
}
