import { writeFileSync } from 'node:fs';
import type { Explored } from './every-point.js';
import { nameOf, type Setting } from './options.js';
import { markdownHead, markdownRow } from './table.js';

/** What was seen in one setting. */
export interface Part {
  readonly setting: Setting;
  readonly explored: Explored;
  /** Waits of the app whose points no order and no payment passed. */
  readonly unreached: readonly string[];
  readonly seconds: number;
}

export function writeReport(file: string, parts: readonly Part[]): void {
  const texts = parts.map(({ setting, explored: { outcomes }, unreached }) => {
    const broken = outcomes.filter((outcome) => outcome.broken.length > 0);
    const rows = outcomes.map(markdownRow).join('\n');
    return `## ${nameOf(setting)}

${outcomes.length} kills, ${broken.length} not as promised. Passed by no order, message or payment, and so not tried:
${unreached.map((wait) => `\`${wait}\``).join(', ') || 'none'}.

${markdownHead()}
${rows}
`;
  });
  writeFileSync(file, `${intro(parts)}\n${texts.join('\n')}`);
}

function intro(parts: readonly Part[]): string {
  const kills = parts.reduce((sum, { explored }) => sum + explored.outcomes.length, 0);
  return `# An order, its messages and its payment, killed at every point

Written by \`npm run demo:crash -- --report test/demo/reports/crash.md\`; not edited by hand. Node ${process.versions.node}.
${kills} kills.

Each line is a customer of its own, who places an order, and pays it when all that follows from it is done. The app is killed with
SIGKILL at the point named (\`#2\`: the second time that this customer passes it; \`then\`: a second crash, in the retry after the
first), started again, and gets the same requests with the same keys until both have a final answer. Messages go from the outbox to
the consumers inside the app; a kill while they are under way comes after the client has its 201. When no message is left, orders and
stock moves are counted in the database, charges in the ledger of the payment service, e-mails in the mailbox; \`/effects\` has to
tell the same. In the last lines of each table the order is cancelled while the app is dead and the card is charged: the retry is
refused and gives the charge back, once, also when it is killed while it does.
`;
}
