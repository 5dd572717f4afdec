import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

export const DATABASES = ['postgres', 'mariadb'] as const;
export type DatabaseName = (typeof DATABASES)[number];

/** Where the demonstration runs once. */
export interface Setting {
  readonly database: DatabaseName;
  readonly transactional: boolean;
}

export interface DemoOptions {
  readonly settings: readonly Setting[];
  /** Only these points; all of them when it is empty. */
  readonly points: readonly string[];
  /** At most so many kills of an order, of its messages and of its payment, spread over all of them; `undefined`: every one. */
  readonly sample: number | undefined;
  /** Where in the list a sample begins, so that it is another one from time to time. */
  readonly offset: number;
  /** How many orders are placed side by side. */
  readonly lanes: number;
  readonly keepsKeys: boolean;
  /** A file that is written with what was seen. */
  readonly report: string | undefined;
}

export const USAGE = `npm run demo:crash -- [options]
  --database postgres|mariadb   on this one alone
  --transactional               only in transactional mode; --no-transactional: only outside it
  --point <name>                only there, as CRASH_AT=list names it (name#2: the second time); may be repeated;
                                a,b is a crash at a, and one at b in the retry
  --sample <n>                  at most n kills each while it orders, while messages are under way, and while it pays, spread over
                                all; --offset <n>: beginning at another one
  --lanes <n>                   orders side by side, each with a database of its own (twice as many as there are cores)
  --without-keys                a retry gets a new key: shows what happens without idempotency, and fails
  --report <file>               writes what was seen`;

/** @throws TypeError with a sentence about what is not understood */
export function readOptions(args: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...args],
    allowNegative: true,
    options: {
      database: { type: 'string' },
      transactional: { type: 'boolean' },
      point: { type: 'string', multiple: true },
      sample: { type: 'string' },
      offset: { type: 'string' },
      lanes: { type: 'string' },
      'without-keys': { type: 'boolean' },
      report: { type: 'string' },
    },
  });
  const databases = DATABASES.filter((name) => values.database === undefined || values.database === name);
  if (databases.length === 0)
    throw new TypeError(`--database is '${values.database}'. It must be ${DATABASES.join(' or ')}.`);
  const modes = values.transactional === undefined ? [true, false] : [values.transactional];
  return {
    settings: databases.flatMap((database) => modes.map((transactional) => ({ database, transactional }))),
    points: values.point ?? [],
    sample: count('sample', values.sample),
    offset: count('offset', values.offset) ?? 0,
    // An app that waits for a lease leaves its core to another one.
    lanes: count('lanes', values.lanes) ?? 2 * availableParallelism(),
    keepsKeys: values['without-keys'] !== true,
    report: values.report,
  };
}

function count(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d{1,6}$/.test(value)) throw new TypeError(`--${name} is '${value}'. It must be a whole number.`);
  return Number(value);
}

export const nameOf = ({ database, transactional }: Setting): string =>
  `${database === 'postgres' ? 'PostgreSQL' : 'MariaDB'}, ${transactional ? 'transactional' : 'not transactional'}`;
