import { randomUUID } from 'node:crypto';
import type { Sending } from '../../support/requests.js';

export interface FilePart {
  readonly field?: string;
  readonly name?: string;
  readonly type?: string;
  readonly content: string | Uint8Array;
}

/** Fields and files in the order in which they are sent. */
export type Part = readonly [field: string, value: string] | FilePart;

/** A form with files as browsers send it: every time with a boundary of its own. */
export function form(
  parts: readonly Part[],
  boundary: string = randomUUID(),
): Required<Pick<Sending, 'body' | 'headers'>> {
  const bytes = parts.flatMap((part) => [
    Buffer.from(`--${boundary}\r\n`),
    bytesOf(part),
    Buffer.from('\r\n'),
  ]);
  return {
    body: Buffer.concat([...bytes, Buffer.from(`--${boundary}--\r\n`)]),
    headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
  };
}

function bytesOf(part: Part): Buffer {
  if (!isFile(part)) {
    return Buffer.from(`Content-Disposition: form-data; name="${part[0]}"\r\n\r\n${part[1]}`);
  }
  const { field = 'file', name = 'a.txt', type = 'text/plain', content } = part;
  const head = `Content-Disposition: form-data; name="${field}"; filename="${name}"\r\nContent-Type: ${type}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(content)]);
}

function isFile(part: Part): part is FilePart {
  return !Array.isArray(part);
}
