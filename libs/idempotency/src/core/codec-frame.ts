/**
 * The first byte of what our codecs write. None of them begins a result of ours, JSON, or any other UTF-8 text, so what was
 * written without a codec is told from what was written with one.
 */
export const FRAME = {
  /** gzip: bytes as they are follow, which would look like a frame of gzip without this one before them. */
  asTheyAre: 0x90,
  /** gzip: 4 bytes with the length before compression, big endian, then gzip (RFC 1952). */
  gzipped: 0x91,
  /** Encrypted: see `encrypted-codec.ts`. */
  sealed: 0x92,
} as const;

const FRAMES: readonly (number | undefined)[] = Object.values(FRAME);

/** Whether one of our codecs wrote these bytes. */
export function isFramed(bytes: Uint8Array): boolean {
  return FRAMES.includes(bytes[0]);
}
