import { crc32 } from 'node:zlib';
import type { Entry } from './entry.js';

/**
 * One entry is one line: the checksum of what follows, a space, JSON. The checksum tells a line that was written whole
 * from one that a crash of the machine left with blocks of zeros in it, which may well end in a line break.
 */
export function encodeLine(entry: Entry): string {
  const json = JSON.stringify(entry);
  return `${checksum(json)} ${json}\n`;
}

/** `undefined`: not a line that was written whole. */
export function decodeLine(line: string): Entry | undefined {
  const json = line.slice(9);
  if (line.slice(0, 9) !== `${checksum(json)} `) return undefined;
  return JSON.parse(json) as Entry;
}

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');
