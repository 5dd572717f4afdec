import { StreamableFile } from '@nestjs/common';
import type { Readable } from 'node:stream';
import type { HttpExecution } from '../http/http-execution.js';

/** Tells whether an answer is made for a client that is gone, and when that is over. */
export type Departed = Pick<HttpExecution, 'answersNobody' | 'whenConcluded' | 'whenLetGo'>;

/**
 * Nest destroys the stream of a `StreamableFile` when its client leaves. The answer is still produced and recorded, so
 * that has to wait until the outcome is decided, or the lease is lost.
 */
export function keepReadable(value: unknown, execution: Departed): void {
  if (!(value instanceof StreamableFile)) return;
  const stream = value.getStream();

  const { destroy } = stream;
  stream.destroy = function (this: Readable, error?: Error | null): Readable {
    const isOver = error instanceof Error || stream.readableEnded || !execution.answersNobody;
    if (isOver) return destroy.call(stream, error ?? undefined);
    const end = () => void destroy.call(stream);
    execution.whenConcluded(end);
    execution.whenLetGo(end);
    return stream;
  };
}
