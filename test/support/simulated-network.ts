import type {
  Claim,
  ClaimOutcome,
  IdempotencyStorage,
  OwnerOutcome,
} from '../../libs/idempotency/src/core/idempotency-storage.js';
import type { Randomness } from '../../libs/idempotency/src/core/ports.js';
import type { FakeClock } from '../../libs/idempotency/src/testing/fake-clock.js';
import type { EventLoop } from './event-loop.js';

/** How often a call meets which fate; the rest goes well. */
export interface Weather {
  readonly lost: number;
  readonly answerLost: number;
  readonly slow: number;
  readonly never: number;
  readonly slowMs: number;
  readonly delayMs: number;
}

const connectionLost = () => new Error('connection lost');

/** What lies between simulated processes and their storage: delays, lost questions and answers, silence, outages. */
export class SimulatedNetwork {
  /** Nothing gets through. */
  outage = false;
  /** Until when the storage keeps each owner's lease, as far as the network has seen. */
  readonly leaseUntil = new Map<string, number>();
  /** Records that a question claimed once more after its run was released. An attempt may be missing there. */
  readonly claimedAnew = new Set<string>();
  calls = 0;
  private readonly attempts = new Map<string, number>();
  private underWay = 0;

  constructor(
    private readonly storage: IdempotencyStorage,
    private readonly clock: FakeClock,
    private readonly random: Randomness,
    public weather: Weather,
  ) {}

  /** No call is on its way to the storage or back, apart from those that are never answered. */
  get quiet(): boolean {
    return this.underWay === 0;
  }

  /** The storage as one process sees it. */
  storageFor(loop: EventLoop): IdempotencyStorage {
    const { storage } = this;
    const travel = <T>(call: () => Promise<T>) => this.travel(loop, call);
    return loop.through({
      name: 'simulated',
      shared: true,
      claim: (id, request) =>
        travel(async () => this.noteClaim(await storage.claim(id, request), id, request)),
      renew: (claims) =>
        travel(async () => {
          const outcomes = await storage.renew(claims);
          claims.forEach(({ claim, leaseMs }, index) => this.noteRenewal(claim, leaseMs, outcomes[index]));
          return outcomes;
        }),
      complete: (claim, bytes, ttlMs) => travel(() => storage.complete(claim, bytes, ttlMs)),
      release: (claim, options) => travel(() => storage.release(claim, options)),
      saveStep: (claim, name, value) => travel(() => storage.saveStep(claim, name, value)),
      get: (id) => storage.get(id),
      forget: (id) => storage.forget(id),
      find: (query) => storage.find(query),
      purgeExpired: (limit) => storage.purgeExpired(limit),
    });
  }

  private async travel<T>(loop: EventLoop, call: () => Promise<T>): Promise<T> {
    this.calls += 1;
    this.underWay += 1;
    const { delayMs, slowMs } = this.weather;
    const fate = this.drawFate();
    try {
      await this.pass(fate === 'slow question' ? slowMs : delayMs);
      const diedWith = !loop.alive && this.random.fraction() < 0.5;
      if (fate === 'lost' || diedWith || this.outage) throw connectionLost();
      if (fate === 'never there') return await this.silence();
      const answer = await call();
      if (fate === 'never back') return await this.silence();
      await this.pass(fate === 'slow answer' ? slowMs : delayMs);
      if (fate === 'answer lost' || this.outage) throw connectionLost();
      return answer;
    } finally {
      this.underWay -= 1;
    }
  }

  private drawFate(): string {
    const { lost, answerLost, slow, never } = this.weather;
    let left = this.random.fraction();
    const odds = { lost, 'answer lost': answerLost, 'slow question': slow / 2, 'slow answer': slow / 2 };
    const fates = { ...odds, 'never there': never / 2, 'never back': never / 2 };
    for (const [fate, chance] of Object.entries(fates)) {
      left -= chance;
      if (left < 0) return fate;
    }
    return 'good';
  }

  private pass(atMostMs: number): Promise<void> {
    return new Promise((resolve) => this.clock.timers.set(atMostMs * this.random.fraction(), resolve));
  }

  private silence(): Promise<never> {
    this.underWay -= 1;
    return new Promise(() => undefined);
  }

  private noteClaim(
    outcome: ClaimOutcome,
    id: string,
    { ownerToken, leaseMs }: { ownerToken: string; leaseMs: number },
  ): ClaimOutcome {
    if (outcome.kind !== 'claimed') return outcome;
    this.leaseUntil.set(ownerToken, this.clock.monotonicMs() + leaseMs);
    if ((this.attempts.get(ownerToken) ?? outcome.attempt) !== outcome.attempt) this.claimedAnew.add(id);
    this.attempts.set(ownerToken, outcome.attempt);
    return outcome;
  }

  private noteRenewal({ ownerToken }: Claim, leaseMs: number, outcome: OwnerOutcome | undefined): void {
    if (outcome === 'applied') this.leaseUntil.set(ownerToken, this.clock.monotonicMs() + leaseMs);
  }
}
