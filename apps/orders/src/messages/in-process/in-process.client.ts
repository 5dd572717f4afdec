import { ClientProxy } from '@nestjs/microservices';
import type { ReadPacket, WritePacket } from '@nestjs/microservices';
import { CrashPoints } from '../../crash/crash-points.js';
import type { InProcessServer } from './in-process.server.js';

/** Nest's `ClientProxy` on an `InProcessServer`: `emit` completes when all consumers are through, and fails when one of them has. */
@CrashPoints()
export class InProcessClient extends ClientProxy {
  constructor(private readonly server: InProcessServer) {
    super();
  }

  override connect(): Promise<void> {
    return Promise.resolve();
  }

  override close(): void {}

  override unwrap<T>(): T {
    return this.server as unknown as T;
  }

  protected override async dispatchEvent<T>({ pattern, data }: ReadPacket): Promise<T> {
    await this.server.deliver(String(pattern), data);
    return undefined as T;
  }

  /** Questions have an answer, and so are asked by calling whoever knows it. */
  protected override publish(_packet: ReadPacket, callback: (packet: WritePacket) => void): () => void {
    callback({
      err: new Error('Only events are carried inside the process: use `emit()`.'),
      isDisposed: true,
    });
    return () => undefined;
  }
}
