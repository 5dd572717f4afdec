import type { ExecutionContext } from '@nestjs/common';

/**
 * The acknowledgement of a message that its handler sends by itself (`@Ack()` of socket.io): part of its outcome, so it is held
 * back until that is recorded, and sent again on a replay.
 */
export class Acknowledgement {
  private held: readonly unknown[] | undefined;
  private passed = false;

  private constructor(
    private readonly args: unknown[],
    private readonly index: number,
    private readonly send: (...said: readonly unknown[]) => void,
  ) {}

  /** Undefined when the client asked for none. */
  static of(context: ExecutionContext): Acknowledgement | undefined {
    const args = context.getArgs<unknown[]>();
    const index = args.findIndex((arg) => typeof arg === 'function');
    return index === -1 ? undefined : new Acknowledgement(args, index, args[index] as () => void);
  }

  /** What the handler has said; undefined when it leaves that to Nest, which acknowledges with what it returns. */
  get said(): readonly unknown[] | undefined {
    return this.held;
  }

  /** From here on the handler speaks to us. */
  hold(): void {
    this.args[this.index] = (...said: readonly unknown[]) => {
      if (this.passed) this.send(...said);
      else this.held ??= said;
    };
  }

  /** Lets out what was held, and whatever comes later. */
  pass(): void {
    if (this.passed) return;
    this.passed = true;
    if (this.held) this.send(...this.held);
  }

  /** What was held is not true any more: it goes nowhere. */
  drop(): void {
    this.held = undefined;
    this.passed = true;
  }

  sendAgain(said: readonly unknown[]): void {
    this.send(...said);
  }
}
