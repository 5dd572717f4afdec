import { FACT } from './fact.js';

/**
 * Places in a process of a run where it can be held, to be killed there. The run tells it the name of a point; whoever comes by next
 * says so and goes no further, while everything else in the process does.
 */
let armed: string | undefined;

process.on('message', (point) => {
  armed = String(point);
});
// Nothing of a run outlives the process that started it.
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));

/** Pipes are written to at once: what was said before a kill is heard. */
export function say(fact: string): void {
  process.stdout.write(`${FACT}${fact}\n`);
}

/** Whether whoever is here must go no further. */
export function isHeldAt(point: string): boolean {
  if (armed !== point) return false;
  armed = undefined;
  say(`held ${point}`);
  return true;
}

export async function passing(point: string): Promise<void> {
  if (isHeldAt(point)) await new Promise<never>(() => undefined);
}
