import type {
  Claim,
  ClaimOutcome,
  ClaimRequest,
  IdempotencyStorage,
  OwnerOutcome,
  RecordQuery,
  RecordView,
  ReleaseOptions,
  Renewal,
  StorageHost,
} from '../core/idempotency-storage.js';
import { Gate } from './gate.js';

/** The calls that can be made to fail. */
export type StorageMethod =
  | 'start'
  | 'stop'
  | 'claim'
  | 'renew'
  | 'complete'
  | 'release'
  | 'saveStep'
  | 'get'
  | 'forget'
  | 'find'
  | 'purgeExpired'
  | 'waitForChange';

/** One call as it was seen from outside. */
export interface StorageCall {
  readonly method: StorageMethod;
  /** The ids it was about: several for `renew`, none for `start`, `stop`, `find` and `purgeExpired`. */
  readonly ids: readonly string[];
  /** Whether the wrapped storage was asked. */
  reached: boolean;
  /** What the caller got so far. */
  outcome: 'pending' | 'answered' | 'rejected';
}

type Fault =
  | { readonly kind: 'reject'; readonly error: unknown }
  | { readonly kind: 'lose-answer'; readonly error: unknown }
  | { readonly kind: 'hold-call'; readonly gate: Gate }
  | { readonly kind: 'hold-answer'; readonly gate: Gate };

const connectionLost = () => new Error('Connection lost, as the test asked for.');

/**
 * Wraps any storage and fails on command. Commands for one method are used up in the order in which they were given;
 * without one a call goes through.
 *
 *     const storage = faultyStorage(new MemoryStorage({ clock }));
 *     storage.loseAnswer('complete');           // stored, but the caller gets an error
 *     const gate = storage.holdCall('claim');   // hangs until gate.open() or gate.fail(error)
 *     await gate.reached();                     // the call is there now
 */
export function faultyStorage(inner: IdempotencyStorage): FaultyStorage {
  return new FaultyStorage(inner);
}

/** A storage over another one, whose calls fail, hang or lose their answers on command. */
export class FaultyStorage implements IdempotencyStorage {
  readonly name: string;
  readonly shared: boolean;
  readonly start?: (host?: StorageHost) => Promise<void>;
  readonly stop?: () => Promise<void>;
  readonly waitForChange?: (id: string, timeoutMs: number) => Promise<void>;
  private readonly faults = new Map<StorageMethod, { readonly fault: Fault; left: number }[]>();
  private readonly gates = new Set<Gate>();
  private log: StorageCall[] = [];

  constructor(private readonly inner: IdempotencyStorage) {
    this.name = inner.name;
    this.shared = inner.shared;
    if (inner.start) this.start = (host) => this.call('start', [], async () => inner.start?.(host));
    if (inner.stop) this.stop = () => this.call('stop', [], async () => inner.stop?.());
    if (inner.waitForChange) {
      this.waitForChange = (id, ms) =>
        this.call('waitForChange', [id], async () => inner.waitForChange?.(id, ms));
    }
  }

  /** The next `times` calls are rejected before they reach the storage. `Infinity`: it is down until `heal`. */
  rejectNext(method: StorageMethod, times = 1, error: unknown = connectionLost()): void {
    this.plan(method, times, { kind: 'reject', error });
  }

  /** The next `times` calls are applied, but their answers are lost: the caller gets an error. */
  loseAnswer(method: StorageMethod, times = 1, error: unknown = connectionLost()): void {
    this.plan(method, times, { kind: 'lose-answer', error });
  }

  /** The next `times` calls hang before they reach the storage, until the gate is opened or fails. */
  holdCall(method: StorageMethod, times = 1): Gate {
    return this.planGate(method, times, 'hold-call');
  }

  /** The next `times` calls are applied, and their answers hang until the gate is opened or fails. */
  holdAnswer(method: StorageMethod, times = 1): Gate {
    return this.planGate(method, times, 'hold-answer');
  }

  /** Takes back every command and opens every gate. */
  heal(): void {
    this.faults.clear();
    for (const gate of this.gates) gate.open();
    this.gates.clear();
  }

  /** All calls so far, in the order in which they were made; of one method, or of all. */
  calls(method?: StorageMethod): readonly StorageCall[] {
    return this.log.filter((call) => method === undefined || call.method === method);
  }

  clearCalls(): void {
    this.log = [];
  }

  claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
    return this.call('claim', [id], () => this.inner.claim(id, request));
  }

  renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]> {
    const ids = claims.map(({ claim }) => claim.id);
    return this.call('renew', ids, () => this.inner.renew(claims));
  }

  complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
    return this.call('complete', [claim.id], () => this.inner.complete(claim, result, ttlMs));
  }

  release(claim: Claim, options: ReleaseOptions): Promise<OwnerOutcome> {
    return this.call('release', [claim.id], () => this.inner.release(claim, options));
  }

  saveStep(claim: Claim, name: string, value: Uint8Array): Promise<OwnerOutcome> {
    return this.call('saveStep', [claim.id], () => this.inner.saveStep(claim, name, value));
  }

  get(id: string): Promise<RecordView | undefined> {
    return this.call('get', [id], () => this.inner.get(id));
  }

  forget(id: string): Promise<boolean> {
    return this.call('forget', [id], () => this.inner.forget(id));
  }

  async *find(query: RecordQuery): AsyncIterable<RecordView> {
    yield* await this.call('find', [], async () => this.inner.find(query));
  }

  purgeExpired(limit: number): Promise<number> {
    return this.call('purgeExpired', [], () => this.inner.purgeExpired(limit));
  }

  private plan(method: StorageMethod, times: number, fault: Fault): void {
    const planned = this.faults.get(method) ?? [];
    planned.push({ fault, left: times });
    this.faults.set(method, planned);
  }

  private planGate(method: StorageMethod, times: number, kind: 'hold-call' | 'hold-answer'): Gate {
    const gate = new Gate();
    this.gates.add(gate);
    this.plan(method, times, { kind, gate });
    return gate;
  }

  private take(method: StorageMethod): Fault | undefined {
    const planned = this.faults.get(method);
    const first = planned?.[0];
    if (planned === undefined || first === undefined) return undefined;
    first.left -= 1;
    if (first.left <= 0) planned.shift();
    return first.fault;
  }

  private async call<T>(method: StorageMethod, ids: readonly string[], run: () => Promise<T>): Promise<T> {
    const call: StorageCall = { method, ids, reached: false, outcome: 'pending' };
    this.log.push(call);
    try {
      const answer = await this.faulty(this.take(method), () => {
        call.reached = true;
        return run();
      });
      call.outcome = 'answered';
      return answer;
    } catch (error) {
      call.outcome = 'rejected';
      throw error;
    }
  }

  private async faulty<T>(fault: Fault | undefined, run: () => Promise<T>): Promise<T> {
    if (fault?.kind === 'reject') throw fault.error;
    if (fault?.kind === 'hold-call') await fault.gate.pass();
    const answer = await run();
    if (fault?.kind === 'hold-answer') await fault.gate.pass();
    if (fault?.kind === 'lose-answer') throw fault.error;
    return answer;
  }
}
