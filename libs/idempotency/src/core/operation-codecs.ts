import type { Codec } from './codec.js';

/** Which codecs an application has, and which operation has which, as far as this process has seen. */
export class OperationCodecs {
  private readonly byOperation = new Map<string, Codec | undefined>();
  private readonly own = new Set<Codec | undefined>();

  /** @param usual the codec of operations that have none of their own */
  constructor(private readonly usual: Codec | undefined) {}

  /** @param operation undefined while its name is not known yet */
  learn(operation: string | undefined, codec: Codec | undefined): void {
    if (codec !== this.usual) this.own.add(codec);
    // As long as all have the usual one there is nothing to remember.
    if (operation !== undefined && this.own.size > 0) this.byOperation.set(operation, codec);
  }

  /** The codec that has written the records of an operation; every codec of the app while that is not known. */
  candidates(operation: string): readonly (Codec | undefined)[] {
    if (this.byOperation.has(operation)) return [this.byOperation.get(operation)];
    return [this.usual, ...this.own];
  }

  /** @throws Error when operations differ and this process has not met this one */
  of(operation: string): Codec | undefined {
    if (this.own.size === 0) return this.usual;
    if (this.byOperation.has(operation)) return this.byOperation.get(operation);
    throw new Error(
      `Operations of this app have a \`codec\` of their own, and which one ${operation} has is not known in this process before its first request. Send that request once more (it is refused), then decide; or give the operation a name by \`operation\`.`,
    );
  }
}
