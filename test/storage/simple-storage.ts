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
} from '../../libs/idempotency/src/core/idempotency-storage.js';
import type { Clock } from '../../libs/idempotency/src/core/ports.js';

export interface Row {
  id: string;
  fingerprint: string;
  owner: string | undefined;
  attempt: number;
  previous: 'none' | 'released' | 'expired';
  released: boolean;
  keepMs: number;
  createdAt: number;
  leaseUntil: number;
  expiresAt: number;
  steps: Map<string, Uint8Array>;
  stepsFound: Map<string, Uint8Array>;
  ownerFound: string | undefined;
  result: Uint8Array | undefined;
}

export type OwnerCall = 'renew' | 'complete' | 'release' | 'saveStep';

/**
 * A sound storage in which every decision is a method of its own, so that each broken storage overrides exactly one.
 * Two instances share their rows as two processes share a server.
 */
export class SimpleStorage implements IdempotencyStorage {
  readonly name = 'simple';
  readonly shared = true;

  constructor(
    protected readonly clock: Clock,
    protected readonly rows: Map<string, Row> = new Map(),
  ) {}

  /** A second instance over the same rows. */
  peer(): SimpleStorage {
    return new (this.constructor as typeof SimpleStorage)(this.clock, this.rows);
  }

  async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
    const row = this.live(id);
    if (row?.result !== undefined) return this.replay(row, row.result);
    if (row === undefined) return this.won(this.insert(id, request));
    if (this.sameRequest(row, request)) {
      if (this.isAgain(row, request)) return this.won(this.claimAgain(row, request));
      if (this.leaseEnded(row)) {
        if (!this.mayRun(row, request)) return { kind: 'abandoned', fingerprint: row.fingerprint };
        return this.won(this.takeOver(row, request));
      }
    }
    return this.running(row);
  }

  async renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]> {
    return claims.map((renewal) => this.renewOne(renewal));
  }

  async complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
    const row = this.owned(claim, 'complete');
    if (row === undefined) return 'lease_lost';
    row.result = this.taken(result);
    row.expiresAt = this.completedUntil(row, ttlMs);
    return 'applied';
  }

  async release(claim: Claim, options: ReleaseOptions): Promise<OwnerOutcome> {
    const row = this.owned(claim, 'release');
    if (row === undefined) return 'lease_lost';
    if (options.forget && row.previous === 'none') this.rows.delete(this.keyOf(claim.id));
    else this.giveUp(row, options);
    return 'applied';
  }

  async saveStep(claim: Claim, name: string, value: Uint8Array): Promise<OwnerOutcome> {
    const row = this.owned(claim, 'saveStep');
    if (row === undefined) return 'lease_lost';
    this.putStep(row, name, this.taken(value));
    return 'applied';
  }

  async get(id: string): Promise<RecordView | undefined> {
    const row = this.live(id);
    return row && this.view(row);
  }

  async forget(id: string): Promise<boolean> {
    const existed = this.live(id) !== undefined;
    this.rows.delete(this.keyOf(id));
    return existed;
  }

  async *find(query: RecordQuery): AsyncIterable<RecordView> {
    for (const row of [...this.rows.values()]) {
      if (this.rows.get(this.keyOf(row.id)) === row && !this.isOver(row) && this.matches(row, query))
        yield this.view(row);
    }
  }

  async purgeExpired(limit: number): Promise<number> {
    const over = [...this.rows].filter(([, row]) => this.isOver(row)).slice(0, limit);
    for (const [key] of over) this.rows.delete(key);
    return over.length;
  }

  // ---- the decisions ----

  protected now(): number {
    return this.clock.monotonicMs();
  }

  protected keyOf(id: string): string {
    return id;
  }

  protected isOver(row: Row): boolean {
    return row.expiresAt <= this.now();
  }

  protected live(id: string): Row | undefined {
    const row = this.rows.get(this.keyOf(id));
    return row !== undefined && !this.isOver(row) ? row : undefined;
  }

  protected owned(claim: Claim, call: OwnerCall): Row | undefined {
    const row = this.live(claim.id);
    if (row === undefined || !this.owns(row, claim, call)) return undefined;
    return row.result === undefined || call === 'complete' ? row : undefined;
  }

  protected owns(row: Row, claim: Claim, _call: OwnerCall): boolean {
    return row.owner === claim.ownerToken;
  }

  protected sameRequest(row: Row, request: ClaimRequest): boolean {
    return row.fingerprint === request.fingerprint;
  }

  protected isAgain(row: Row, request: ClaimRequest): boolean {
    return row.owner === request.ownerToken;
  }

  protected leaseEnded(row: Row): boolean {
    return row.leaseUntil <= this.now();
  }

  protected mayRun(row: Row, request: ClaimRequest): boolean {
    return request.takeOver || row.released;
  }

  protected startLease(row: Row, leaseMs: number): void {
    row.leaseUntil = this.now() + leaseMs;
    row.expiresAt = row.leaseUntil + row.keepMs;
  }

  protected insert(id: string, { ownerToken, fingerprint, leaseMs, keepMs }: ClaimRequest): Row {
    const row: Row = {
      ...{
        id,
        fingerprint,
        keepMs,
        owner: ownerToken,
        attempt: 1,
        previous: 'none',
        released: false,
        result: undefined,
      },
      ...{
        createdAt: this.now(),
        leaseUntil: 0,
        expiresAt: 0,
        steps: new Map(),
        stepsFound: new Map(),
        ownerFound: undefined,
      },
    };
    this.startLease(row, leaseMs);
    this.rows.set(this.keyOf(id), row);
    return row;
  }

  protected takeOver(row: Row, request: ClaimRequest): Row {
    row.previous = row.released ? 'released' : 'expired';
    row.stepsFound = new Map(row.steps);
    row.ownerFound = row.owner;
    row.owner = request.ownerToken;
    row.attempt += 1;
    row.released = false;
    row.keepMs = request.keepMs;
    this.startLease(row, request.leaseMs);
    return row;
  }

  protected claimAgain(row: Row, request: ClaimRequest): Row {
    row.keepMs = request.keepMs;
    this.startLease(row, request.leaseMs);
    return row;
  }

  protected renewOne({ claim, leaseMs }: Renewal): OwnerOutcome {
    const row = this.owned(claim, 'renew');
    if (row === undefined) return 'lease_lost';
    this.startLease(row, leaseMs);
    return 'applied';
  }

  protected completedUntil(_row: Row, ttlMs: number): number {
    return this.now() + ttlMs;
  }

  protected giveUp(row: Row, { forget }: ReleaseOptions): void {
    row.owner = forget ? row.ownerFound : undefined;
    this.startLease(row, 0);
    row.released = forget ? row.previous === 'released' : true;
    if (!forget) return;
    row.attempt -= 1;
    row.steps = new Map(row.stepsFound);
  }

  protected putStep(row: Row, name: string, value: Uint8Array): void {
    row.steps.set(name, value);
  }

  /** Bytes on their way in. */
  protected taken(bytes: Uint8Array): Uint8Array {
    return Uint8Array.from(bytes);
  }

  /** Bytes on their way out. */
  protected given(bytes: Uint8Array): Uint8Array {
    return Uint8Array.from(bytes);
  }

  protected givenSteps(steps: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
    return new Map([...steps].map(([name, value]) => [name, this.given(value)]));
  }

  protected won({ attempt, previous, steps }: Row): ClaimOutcome {
    return { kind: 'claimed', attempt, previous, steps: this.givenSteps(steps) };
  }

  protected running(row: Row): ClaimOutcome {
    const { fingerprint, leaseUntil } = row;
    return { kind: 'in_progress', fingerprint, leaseRemainingMs: Math.max(0, leaseUntil - this.now()) };
  }

  protected replay(row: Row, result: Uint8Array): ClaimOutcome {
    const { fingerprint, expiresAt } = row;
    return {
      kind: 'completed',
      fingerprint,
      result: this.given(result),
      expiresInMs: expiresAt - this.now(),
    };
  }

  protected view(row: Row): RecordView {
    const { id, fingerprint, attempt, steps, result } = row;
    const open = result === undefined;
    return {
      ...{
        id,
        fingerprint,
        attempt,
        state: open ? 'in_progress' : 'completed',
        released: open && row.released,
      },
      leaseRemainingMs: open ? Math.max(0, row.leaseUntil - this.now()) : 0,
      expiresInMs: row.expiresAt - this.now(),
      ageMs: this.now() - row.createdAt,
      steps: this.givenSteps(steps),
      ...(open ? {} : { result: this.given(result) }),
    };
  }

  protected matches(row: Row, { idPrefix, state, minAgeMs = 0 }: RecordQuery): boolean {
    const stateOf = row.result === undefined ? 'in_progress' : 'completed';
    return (
      row.id.startsWith(idPrefix) &&
      (state === undefined || state === stateOf) &&
      this.now() - row.createdAt >= minAgeMs
    );
  }
}
