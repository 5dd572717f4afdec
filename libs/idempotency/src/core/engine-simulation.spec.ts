import { describe, it } from '@jest/globals';
import {
  LEASE_MS,
  Simulation,
  STORAGE_TIMEOUT_MS,
  WAIT_TIMEOUT_MS,
  type Execution,
  type SimulationPlan,
} from '../../../../test/support/simulation.js';
import type { Weather } from '../../../../test/support/simulated-network.js';
import { seededRandomness } from '../testing/seeded-randomness.js';
import type { Codec } from './codec.js';
import { decodeResult } from './result.js';

/** For a longer run: `SIM_SEEDS=2000 npm run jest -- engine-simulation`; for one seed of it: `SIM_FROM=1234 SIM_SEEDS=1`. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 30);
const FROM = Number(process.env['SIM_FROM'] ?? 1);

/** Delays, lost questions and answers, calls that take up to three times as long as anybody waits for them. */
const RAIN: Weather = { delayMs: 60, lost: 0.03, answerLost: 0.03, slow: 0.04, never: 0, slowMs: 3000 };
/** Calls that take up to two leases, or for ever. */
const STORM: Weather = {
  delayMs: 150,
  lost: 0.06,
  answerLost: 0.06,
  slow: 0.05,
  never: 0.02,
  slowMs: 2 * LEASE_MS,
};

/** Turns every byte, and fails for what belongs elsewhere. */
const TURNING: Codec = {
  name: 'turning',
  encode: async (bytes, { recordId, part }) =>
    Buffer.concat([Buffer.from(`${recordId} ${part}:`), bytes.map((byte) => byte ^ 0xff)]),
  decode: async (bytes, { recordId, part }) => {
    const mark = Buffer.from(`${recordId} ${part}:`);
    if (Buffer.compare(bytes.subarray(0, mark.length), mark) !== 0) throw new Error('it belongs elsewhere');
    return bytes.slice(mark.length).map((byte) => byte ^ 0xff);
  },
};

describe('Engines over one storage', () => {
  it.each([
    ['RAIN', 'hold the promise through delays, lost answers and silence'],
    ['STORM', 'hold it through crashes, blocked event loops, stops and outages'],
  ])(
    `%s (seeds ${FROM} to ${FROM + SEEDS - 1}): %s`,
    async (name) => {
      for (let seed = FROM; seed < FROM + SEEDS; seed += 1) {
        const faults = await faultsOf(new Simulation(seed, planFor(name, seed)));
        if (faults.length > 0) throw new Error(`Seed ${seed} of ${name}:\n${faults.slice(0, 10).join('\n')}`);
      }
    },
    3_600_000,
  );
});

/** Few processes or many, keys that are much used or little, and bad weather that is worse in some seeds. */
function planFor(name: string, seed: number): SimulationPlan {
  const { fraction } = seededRandomness(seed);
  const weather = name === 'RAIN' ? RAIN : STORM;
  const worse = 0.5 + 1.5 * fraction();
  return {
    processes: 2 + Math.floor(4 * fraction()),
    keys: 4 + Math.floor(30 * fraction()),
    bursts: 120,
    durationMs: 60_000,
    weather: {
      ...weather,
      lost: weather.lost * worse,
      answerLost: weather.answerLost * worse,
      slow: weather.slow * worse,
      never: weather.never * worse,
    },
    disasters: name === 'STORM',
    // Every second seed: what is read through a codec, and from memory, must be what is recorded too.
    ...(seed % 2 === 0 ? { codec: TURNING, localCache: { maxBytes: 3000, ttlMs: 10_000 } } : {}),
  };
}

async function faultsOf(simulation: Simulation): Promise<readonly string[]> {
  const { faults } = simulation;
  const unhandled = (error: unknown) => faults.push(`unhandled rejection: ${String(error)}`);
  process.on('unhandledRejection', unhandled);
  try {
    await simulation.run();
    for (const id of simulation.ids()) await checkKey(simulation, id);
    checkTimes(simulation);
    await checkNobodyBlocked(simulation);
    const timers = await simulation.stopAll();
    if (timers > 0) faults.push(`${timers} timers are left`);
  } finally {
    process.off('unhandledRejection', unhandled);
  }
  return faults;
}

async function checkKey(
  { executions, answers, memory, network, faults, plan }: Simulation,
  id: string,
): Promise<void> {
  const ours = executions.filter(({ request }) => request.id === id);
  const stored = await memory.get(id);
  const context = { recordId: id, part: 'result' };
  const { meta, body } = stored?.result
    ? decodeResult((await plan.codec?.decode(stored.result, context)) ?? stored.result)
    : { meta: {} as Record<string, unknown>, body: undefined };
  const recorded = ours.find(({ number }) => number === meta['number']);
  const fault = (text: string) => faults.push(`${id}: ${text}`);

  for (const { request, outcome } of answers) {
    if (request.id !== id || outcome.kind !== 'replay') continue;
    if (!body || Buffer.compare(outcome.result.body, body) !== 0)
      fault('a replay differs from what is recorded');
    if (request.fingerprint !== recorded?.request.fingerprint) fault('a replay went to another request');
  }
  for (const execution of ours) {
    const { body: text, told, asked, beganAt } = execution;
    if (told === 'recorded' && execution !== recorded) fault(`${text} was told that it is recorded`);
    if (execution === recorded && asked !== 'complete') fault(`${text} is recorded and did not ask for it`);
    if (recorded?.told === 'recorded' && beganAt > (recorded.toldAt ?? Infinity))
      fault(`${text} began after the outcome was recorded`);
  }
  checkAttempts(ours, fault, !plan.disasters && !network.claimedAnew.has(id));
  if (!plan.disasters && !ours.some(({ overtaken }) => overtaken)) checkRuns(ours, recorded, fault);
}

/** Every run that was not forgotten counts, and its steps and its fingerprint stay. */
function checkAttempts(ours: readonly Execution[], fault: (text: string) => void, exactly: boolean): void {
  ours.forEach(({ body, run, request }, index) => {
    const kept = ours.slice(0, index).filter(({ asked }) => asked !== 'forget');
    const exact = exactly && run.previous !== 'expired';
    if (run.attempt < kept.length + 1 || (exact && run.attempt !== kept.length + 1)) {
      fault(`${body} is attempt ${run.attempt} after ${kept.length} others (${run.previous})`);
    }
    for (const earlier of kept) {
      if (earlier.request.fingerprint !== request.fingerprint) fault(`${body} runs another request`);
      const lost = earlier.saved.filter((step) => !run.steps.has(step));
      if (lost.length > 0 && !earlier.overtaken) fault(`${body} does not know of ${lost.join()}`);
    }
  });
}

/** Without a lease that ran out: one run for each release, and one. */
function checkRuns(
  ours: readonly Execution[],
  recorded: Execution | undefined,
  fault: (text: string) => void,
): void {
  const last = ours.at(-1);
  for (const execution of ours) {
    const { body, asked, told } = execution;
    if (asked === undefined) fault(`${body} never ended`);
    if (told === 'superseded') fault(`${body} was superseded`);
    if (execution !== last && asked === 'complete')
      fault(`${last?.body} ran although ${body} had an outcome`);
  }
  if (last?.asked === 'complete' && recorded !== last) fault(`${last.body} is not recorded`);
}

function checkTimes({ answers, faults }: Simulation): void {
  for (const { request, outcome, tookMs, undisturbed } of answers) {
    const waiting = request.inFlight === 'wait' ? WAIT_TIMEOUT_MS : 0;
    if (undisturbed && tookMs > waiting + 2 * STORAGE_TIMEOUT_MS)
      faults.push(`${request.id}: ${request.inFlight} took ${tookMs} ms to be ${outcome.kind}`);
  }
}

async function checkNobodyBlocked(simulation: Simulation): Promise<void> {
  await simulation.clock.advance(LEASE_MS + STORAGE_TIMEOUT_MS);
  for (const [id, { kind }] of await simulation.askAgain()) {
    if (kind !== 'run' && kind !== 'replay') simulation.faults.push(`${id} is blocked: ${kind}`);
  }
}
