import type { TimerHandle, Timers } from '../../core/ports.js';
import { systemRandomness } from '../system-ports.js';
import { pauseBefore, worstOf, type Verdict } from './verdict.js';

/** Tells the broker. Its methods never throw: a channel that is closed has given its messages back already. */
export interface Carrier {
  /** Whoever sent the message waits for what comes back. */
  readonly wantsReply: boolean;
  /** The broker keeps the pause before it delivers again; else it delivers at once, and the pause is ours. */
  readonly keepsPause: boolean;
  /** How often the broker has delivered it, with this one; undefined where it does not say. */
  readonly deliveries: number | undefined;
  done(): void;
  refused(): void;
  again(pauseMs: number): void;
}

export interface Settlement {
  readonly verdict: Verdict;
  /** Of the run; absent when nothing has run. */
  readonly attempt?: number | undefined;
  /** Whoever sent a request hears of it by the reply, and sends it again if he still wants it. */
  readonly told: boolean;
}

/** One execution of a decorated handler for a message. */
export class Part {
  /** What its handler has told the broker by itself: it goes there when the record knows of the outcome. */
  word: Verdict | undefined;
  /** The pause that it has asked for with it. */
  pauseMs: number | undefined;
  verdict: Verdict | undefined;
  attempt: number | undefined;
  /** Another run has its outcome, which nobody knows yet. */
  isElsewhere = false;

  constructor(private readonly delivery: Delivery) {}

  /** Its outcome is recorded, or there is none to be recorded. The first one counts. */
  settle({ verdict, attempt, told }: Settlement): void {
    if (this.verdict !== undefined) return;
    this.isElsewhere = !told;
    this.verdict = told ? this.withWord(verdict) : verdict;
    this.attempt = attempt;
    this.delivery.decide();
  }

  /** An acknowledgement before a throw is not true any more, unless the throw is a reply. */
  private withWord(verdict: Verdict): Verdict {
    if (this.delivery.isRequest || verdict === 'done') return this.word ?? 'done';
    return verdict === 'again' && this.word === 'refused' ? 'refused' : verdict;
  }
}

/**
 * One delivery of a message: told to the broker once, when every handler of ours that it reached has settled and nobody can
 * reach another one with it.
 */
export class Delivery {
  private readonly parts = new Map<object, Part>();
  /** Handlers that Nest has called and whose streams have not ended. */
  private calls = 0;
  private readonly errors: unknown[] = [];
  /** What others than our handlers have said: while ours run, or at any time where it is for several. */
  private outside: Verdict | undefined;
  /** What was said when its only handler was through: an exception filter or an outer interceptor knows what it does. */
  private lastWord: Verdict | undefined;
  private waiting: { readonly timer: TimerHandle } | undefined;
  private sent = false;

  /**
   * @param expected how many decorated handlers it is for; fewer may be reached, when a guard refuses
   * @param isShared several handlers get it, ours or not: what one of them says is not about the others
   */
  constructor(
    private readonly carrier: Carrier,
    private readonly timers: Timers,
    readonly isRequest: boolean,
    private readonly expected: number,
    private readonly isShared = false,
  ) {}

  get isSent(): boolean {
    return this.sent;
  }

  /** @param execution Nest's context of it; again when an outer interceptor subscribes once more */
  open(execution: object): Part {
    const part = new Part(this);
    this.parts.set(execution, part);
    return part;
  }

  /** Nest calls a handler. */
  began(): void {
    this.calls += 1;
  }

  /** Everything that came of the call has ended. */
  ended(failure?: { readonly error: unknown }): void {
    if (failure !== undefined) this.errors.push(failure.error);
    this.calls -= 1;
    this.decide();
  }

  /**
   * Somebody of the application tells the broker.
   *
   * @param execution the one in which it was said, if any
   * @param pauseMs before it comes again, where it was said
   */
  hear(word: Verdict, execution: object | undefined, pauseMs?: number): void {
    if (this.sent) return;
    const part = execution && this.parts.get(execution);
    if (part !== undefined && part.verdict === undefined) Object.assign(part, { word, pauseMs });
    else if (this.isShared || this.isPending || this.isElsewhere)
      this.outside = worstOf([this.outside ?? 'done', word]);
    else if (this.waiting !== undefined) this.send(word);
    else this.lastWord = word;
  }

  /** The broker has been told behind our back, and must not be told again. */
  settledElsewhere(): void {
    this.stopWaiting();
    this.sent = true;
  }

  decide(): void {
    if (this.sent || this.waiting !== undefined || this.calls > 0) return;
    const parts = [...this.parts.values()];
    if (parts.some(({ verdict }) => verdict === undefined)) return;
    const verdicts = parts.flatMap(({ verdict }) => verdict ?? []);
    if (this.outside !== undefined) verdicts.push(this.outside);
    // An exception filter has decided about its only handler.
    const isDecided = this.outside !== undefined && !this.isShared;
    if (parts.length < this.expected && !isDecided) verdicts.push(this.verdictOfUnreached());
    const verdict = this.lastWord ?? worstOf(verdicts);
    if (verdict !== 'again' || this.carrier.keepsPause) return this.send(verdict);
    this.waiting = { timer: this.timers.set(this.pauseMs, () => this.send('again')) };
  }

  private get isPending(): boolean {
    return (
      this.parts.size < this.expected || [...this.parts.values()].some((part) => part.verdict === undefined)
    );
  }

  /** Whatever anybody says of it, it comes again. */
  private get isElsewhere(): boolean {
    return [...this.parts.values()].some((part) => part.isElsewhere);
  }

  /** A guard, or an interceptor outside of ours, has answered in a handler's place. */
  private verdictOfUnreached(): Verdict {
    if (this.isRequest || this.errors.length === 0) return 'done';
    return this.errors.some(isUnexpected) ? 'again' : 'refused';
  }

  private get pauseMs(): number {
    const asked = [...this.parts.values()].flatMap(({ pauseMs }) => pauseMs ?? []);
    if (asked.length > 0) return Math.max(...asked);
    const attempts = [...this.parts.values()].flatMap(({ attempt }) => attempt ?? []);
    const known = attempts.length === 0 ? this.carrier.deliveries : Math.max(...attempts);
    return pauseBefore(known, systemRandomness.fraction());
  }

  private send(verdict: Verdict): void {
    const { pauseMs } = this;
    this.settledElsewhere();
    if (verdict === 'again') this.carrier.again(pauseMs);
    else this.carrier[verdict]();
  }

  private stopWaiting(): void {
    if (this.waiting !== undefined) this.timers.clear(this.waiting.timer);
    this.waiting = undefined;
  }
}

/** What Nest makes of an error that nobody has expected; a refusal says something of its own. */
function isUnexpected(error: unknown): boolean {
  if (error instanceof Error) return true;
  return (error as { message?: unknown } | null | undefined)?.message === 'Internal server error';
}
