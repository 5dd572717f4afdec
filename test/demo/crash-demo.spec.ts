import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { buildOrders } from '../support/orders-process.js';

const ARGS = ['--disable-warning=ExperimentalWarning', '--import', './test/support/ts-hooks.mjs'];
/** Another sample each day, so that all points have their turn; what was killed is in the output. */
const TODAY = Math.floor(Date.now() / 86_400_000);
/** The other database's is somewhere else. */
const ELSEWHERE = 17;

/** Kills of an order, of its messages and of its payment each, and two more of a payment that is given back. */
const SAMPLE = '1';
const KILLS = 3 * Number(SAMPLE) + 2;

interface Shown {
  readonly lines: readonly string[];
  readonly end: number | null;
  readonly text: string;
}

const running = new Set<ChildProcess>();
/** It ends what it has started when it is told to end. */
afterEach(() => running.forEach((child) => child.kill('SIGTERM')));

async function demo(...args: readonly string[]): Promise<Shown> {
  const child = spawn(process.execPath, [...ARGS, 'test/demo/crash/crash-demo.ts', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const [end] = (await once(child, 'close')) as [number | null];
  running.delete(child);
  return { text, end, lines: text.split('\n') };
}

/** Orders, charges, e-mails and stock moves of each kill, as the table shows them. */
const figures = ({ lines }: Shown): (string[] | undefined)[] =>
  lines.map((line) => /(\d+) +(\d+) +(\d+) +(\d+)$/.exec(line)?.slice(1)).filter(Boolean);

beforeAll(() => buildOrders(), 240_000);

describe('npm run demo:crash', () => {
  it('kills an app at points of an order, its messages and its payment, and finds each of them once after the retry: on PostgreSQL in transactional mode, on MariaDB outside of it', async () => {
    const settings = [
      ['--database', 'postgres', '--transactional', '--offset', String(TODAY)],
      ['--database', 'mariadb', '--no-transactional', '--offset', String(TODAY + ELSEWHERE)],
    ];
    // Side by side: each waits for leases for the better part of its time.
    const both = await Promise.all(
      settings.map((setting) => demo(...setting, '--lanes', '1', '--sample', SAMPLE)),
    );
    for (const shown of both) {
      console.log(shown.text);
      expect(figures(shown)).toEqual(Array.from({ length: KILLS }, () => ['1', '1', '1', '1']));
      expect(shown.text).toContain(
        `${KILLS} customers: 1 order, 1 charge, 1 e-mail and 1 stock move, each time.`,
      );
      // 409 as well while the dead run's lease lasts, and then the answer.
      expect(
        shown.text.match(/order cancelled.*payment 409( × \d+)?( \(replayed\))?, 1 refund/g),
      ).toHaveLength(2);
      expect(shown.end).toBe(0);
    }
  }, 240_000);

  it('fails, and shows what there is twice, when the retry comes with new keys', async () => {
    const shown = await demo(
      ...['--database', 'postgres', '--no-transactional', '--without-keys'],
      ...['--point', 'OrderPlacement.place:after', '--lanes', '1'],
    );
    expect(figures(shown)).toEqual([['2', expect.any(String), '2', '2']]);
    expect(shown.text).toContain('NOT AS PROMISED: orders: 2');
    expect(shown.text).toContain('NOT AS PROMISED: emails: 2');
    expect(shown.end).toBe(1);
  }, 120_000);

  it('refuses a point that does not exist', async () => {
    const shown = await demo('--point', 'OrdersService.plaice:before');
    expect(shown.text).toContain('There is no point OrdersService.plaice:before.');
    expect(shown.end).toBe(2);
  }, 60_000);
});
