import type { Randomness } from '../core/ports.js';

/** Chance that can be repeated: the same seed gives the same numbers and UUIDs. For tests only: they can be guessed. */
export function seededRandomness(seed: number): Randomness {
  let state = seed >>> 0;
  // mulberry32: small, and good enough to shuffle a simulation.
  const fraction = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const digit = () => Math.floor(fraction() * 16).toString(16);
  const uuid = () =>
    'xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx'.replace(/[xy]/g, (place) =>
      place === 'x' ? digit() : '89ab'.charAt(Math.floor(fraction() * 4)),
    );
  return { fraction, uuid };
}
