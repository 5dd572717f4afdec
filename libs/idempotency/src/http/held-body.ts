import type { Framing } from './recorded-response.js';

/** What somebody has written to a response that is held back, and how: it goes out in the same framing. */
export class HeldBody {
  framing: Framing = 'none';
  bytes = 0;
  private chunks: Buffer[] = [];

  /** The head was written by itself, or more may come: from here on nobody knows the length. */
  inPieces(): void {
    this.framing = 'pieces';
  }

  add(chunk: unknown, encoding: unknown): void {
    const buffer =
      typeof chunk === 'string'
        ? Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
        : // A copy: the writer may use its buffer again once the write is "done".
          Buffer.from(chunk as Uint8Array);
    this.chunks.push(buffer);
    this.bytes += buffer.length;
    if (this.framing === 'none') this.framing = 'whole';
  }

  take(): Buffer {
    const [first, ...more] = this.chunks;
    const taken = first !== undefined && more.length === 0 ? first : Buffer.concat(this.chunks);
    this.chunks = [];
    this.bytes = 0;
    return taken;
  }
}
