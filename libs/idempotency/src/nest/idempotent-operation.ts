import { createHash } from 'node:crypto';
import type { Resource } from '../http/recorded-response.js';
import { NoKeyError } from './no-key.error.js';

/**
 * What a handler sees of the operation it runs in: `@IdempotentOp() op: IdempotentOperation`.
 *
 * A class and not an interface, so that it can stand in a decorated signature without `import type`.
 */
export abstract class IdempotentOperation {
  /** The key that the client sent; undefined when none was needed and none was sent. */
  abstract readonly key: string | undefined;
  /** Number of this run for this record, from 1. */
  abstract readonly attempt: number;
  /** An earlier run ended without an outcome: a crash, or a lease that ran out. */
  abstract readonly takenOver: boolean;
  /** Aborts when the lease is lost: another run may have begun. */
  abstract readonly signal: AbortSignal;
  /** Names what the handler made, so that an answer that could not be kept can be found or rebuilt. */
  abstract setResource(type: string, id: string | number): void;
  /**
   * A key for a call to another service, the same on every attempt of this operation and another one per name.
   *
   * @throws NoKeyError (`no-key`) when the client sent no key
   */
  abstract deriveKey(name: string): string;
}

export interface OperationFacts {
  readonly key: string | undefined;
  readonly recordId: string | undefined;
  readonly attempt: number;
  readonly takenOver: boolean;
  readonly signal: AbortSignal;
}

export class RunningOperation extends IdempotentOperation {
  override key!: string | undefined;
  override attempt!: number;
  override takenOver!: boolean;
  override signal!: AbortSignal;
  private recordId: string | undefined;
  private onResource!: (resource: Resource) => void;

  constructor(facts: OperationFacts, onResource: (resource: Resource) => void) {
    super();
    this.become(facts, onResource);
  }

  /** An upload is claimed when its handler is about to run, and parameter decorators have handed it its operation by then. */
  become(facts: OperationFacts, onResource: (resource: Resource) => void): void {
    this.key = facts.key;
    this.recordId = facts.recordId;
    this.attempt = facts.attempt;
    this.takenOver = facts.takenOver;
    this.signal = facts.signal;
    this.onResource = onResource;
  }

  override setResource(type: string, id: string | number): void {
    this.onResource({ type: String(type), id: String(id) });
  }

  override deriveKey(name: string): string {
    if (this.recordId === undefined) throw new NoKeyError(name);
    const digest = createHash('sha256').update(`${this.recordId}\n${name}`).digest('hex');
    // A UUID (version 8, RFC 9562) is what most services take for a key.
    const variant = ((parseInt(digest.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
    return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-8${digest.slice(13, 16)}-${variant}${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
  }
}
