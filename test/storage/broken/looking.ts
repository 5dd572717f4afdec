import type {
  Claim,
  ClaimRequest,
  OwnerOutcome,
  RecordQuery,
  RecordView,
} from '../../../libs/idempotency/src/core/idempotency-storage.js';
import { SimpleStorage, type Row } from '../simple-storage.js';
import { broken, type BrokenStorage } from './broken-storage.js';

const RUNNING = 'inspection: a running record shows everything about it, on every instance';
const ENDED = 'inspection: a record whose lease ran out or was given up shows which of the two';
const COMPLETED =
  'inspection: a completed record shows its result, its attempt and when it was first claimed';
const FORGET = 'inspection: forget removes a record in every state, and says whether there was one';
const PREFIX = 'find: yields the records whose id starts with the prefix, on every instance';
const WILDCARDS = 'find: wildcard characters in the prefix stand for themselves';
const STATE = 'find: by state, and records past their keeping time are absent';
const AGE = 'find: by age since the first claim';
const SAME_VIEW = 'find: what it yields is what get shows';
const MANY = 'find: yields each of many records once, also while others come and go';

/** Records look other than they are. */
const showing = (change: (view: RecordView) => Partial<RecordView>) =>
  class extends SimpleStorage {
    protected override view(row: Row): RecordView {
      const view = super.view(row);
      return { ...view, ...change(view) };
    }
  };

/** Records are found by another rule. */
const finding = (
  matches: (row: Row, query: RecordQuery, sound: (query: RecordQuery) => boolean) => boolean,
) =>
  class extends SimpleStorage {
    protected override matches(row: Row, query: RecordQuery): boolean {
      return matches(row, query, (other) => super.matches(row, other));
    }
  };

/** The prefix becomes a pattern, with each wildcard of the storage turned into what it stands for. */
const pattern = (wildcards: Readonly<Record<string, string>>) =>
  finding((row, query, sound) => {
    const source = [...query.idPrefix].map((one) => wildcards[one] ?? one.replace(/[^\w]/, '\\$&')).join('');
    return sound({ ...query, idPrefix: '' }) && new RegExp(`^${source}`, 's').test(row.id);
  });

export const brokenViews: readonly BrokenStorage[] = [
  broken(
    'get makes up a record',
    ['inspection: of an id that was never claimed there is nothing', FORGET],
    class extends SimpleStorage {
      override async get(id: string): Promise<RecordView> {
        const row =
          this.live(id) ??
          this.insert(id, { ownerToken: '', fingerprint: '', leaseMs: 0, keepMs: 1, takeOver: true });
        return this.view(row);
      }
    },
  ),
  broken(
    'a view lacks the steps',
    [RUNNING, SAME_VIEW],
    showing(() => ({ steps: new Map() })),
  ),
  broken(
    'a view lacks the result',
    [COMPLETED, SAME_VIEW],
    showing(() => ({ result: undefined })),
  ),
  broken(
    'an unfinished record shows an empty result',
    [RUNNING],
    showing(({ result }) => ({ result: result ?? new Uint8Array() })),
  ),
  broken(
    'an expired record shows as released',
    [ENDED],
    showing(({ leaseRemainingMs }) => ({ released: leaseRemainingMs === 0 })),
  ),
  broken(
    'a released record does not show as released',
    [ENDED],
    showing(() => ({ released: false })),
  ),
  broken(
    'a record that runs again still shows as released',
    ['inspection: a record that runs again after a release does not show as released'],
    class extends SimpleStorage {
      protected override takeOver(row: Row, request: ClaimRequest): Row {
        const { released } = row;
        return Object.assign(super.takeOver(row, request), { released });
      }
    },
  ),
  broken(
    'a completion starts the age anew',
    [COMPLETED],
    class extends SimpleStorage {
      override async complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
        const outcome = await super.complete(claim, result, ttlMs);
        const row = this.live(claim.id);
        if (row && outcome === 'applied') row.createdAt = this.now();
        return outcome;
      }
    },
  ),
  broken(
    'the age counts from the last claim',
    [COMPLETED, AGE],
    class extends SimpleStorage {
      protected override takeOver(row: Row, request: ClaimRequest): Row {
        return Object.assign(super.takeOver(row, request), { createdAt: this.now() });
      }
    },
  ),
  broken(
    'forget removes only completed records',
    [FORGET],
    class extends SimpleStorage {
      override async forget(id: string): Promise<boolean> {
        return this.live(id)?.result === undefined ? false : super.forget(id);
      }
    },
  ),
  broken(
    'forget always says that there was a record',
    [FORGET],
    class extends SimpleStorage {
      override async forget(id: string): Promise<boolean> {
        await super.forget(id);
        return true;
      }
    },
  ),
  broken(
    'get removes a record whose lease has ended',
    ['inspection: looking at a record changes nothing'],
    class extends SimpleStorage {
      override async get(id: string): Promise<RecordView | undefined> {
        const view = await super.get(id);
        if (view?.state === 'in_progress' && view.leaseRemainingMs === 0) this.rows.delete(this.keyOf(id));
        return view;
      }
    },
  ),
  broken(
    'find compares ids without case',
    [PREFIX],
    finding(
      (row, query, sound) =>
        sound({ ...query, idPrefix: '' }) && row.id.toLowerCase().startsWith(query.idPrefix.toLowerCase()),
    ),
  ),
  broken(
    'find looks for the prefix anywhere in the id',
    [PREFIX],
    finding((row, query, sound) => sound({ ...query, idPrefix: '' }) && row.id.includes(query.idPrefix)),
  ),
  broken('find takes % and _ for wildcards', [WILDCARDS], pattern({ '%': '.*', _: '.' })),
  broken('find takes * and ? for wildcards', [WILDCARDS], pattern({ '*': '.*', '?': '.' })),
  broken(
    'find takes brackets for a set of characters',
    [WILDCARDS],
    pattern({ '[': '[', ']': ']', '^': '^' }),
  ),
  broken('find takes a backslash for an escape', [WILDCARDS], pattern({ '\\': '' })),
  broken(
    'find yields nothing for an empty prefix',
    ['find: an empty prefix yields all'],
    finding((_row, query, sound) => query.idPrefix !== '' && sound(query)),
  ),
  broken(
    'find ignores the state',
    [STATE],
    finding((_row, query, sound) => sound({ ...query, state: undefined })),
  ),
  broken(
    'find yields records past their keeping time',
    [STATE],
    class extends SimpleStorage {
      override async *find(query: RecordQuery): AsyncIterable<RecordView> {
        for (const row of this.rows.values()) if (this.matches(row, query)) yield this.view(row);
      }
    },
  ),
  broken(
    'find ignores the age',
    [AGE],
    finding((_row, query, sound) => sound({ ...query, minAgeMs: 0 })),
  ),
  broken(
    'find yields records that are forgotten and claimed anew a second time',
    [MANY],
    class extends SimpleStorage {
      override async *find(query: RecordQuery): AsyncIterable<RecordView> {
        for (const row of this.rows.values())
          if (!this.isOver(row) && this.matches(row, query)) yield this.view(row);
      }
    },
  ),
  broken(
    'find yields the first hundred',
    [MANY],
    class extends SimpleStorage {
      override async *find(query: RecordQuery): AsyncIterable<RecordView> {
        let yielded = 0;
        for await (const view of super.find(query)) if ((yielded += 1) <= 100) yield view;
      }
    },
  ),
  broken(
    'find pages by position, so that a removed record shifts the next page',
    [MANY],
    class extends SimpleStorage {
      override async *find(query: RecordQuery): AsyncIterable<RecordView> {
        for (let position = 0; ; position += 50) {
          const page = [...this.rows.values()]
            .filter((row) => this.matches(row, query))
            .slice(position, position + 50);
          if (page.length === 0) return;
          for (const row of page) yield this.view(row);
        }
      }
    },
  ),
  broken(
    'a search that is broken off keeps its connection',
    ['find: a search that is broken off leaves the storage usable'],
    class extends SimpleStorage {
      private open = 0;
      override async *find(query: RecordQuery): AsyncIterable<RecordView> {
        if (this.open === 10) throw new Error('timeout exceeded when trying to connect');
        this.open += 1;
        for await (const view of super.find(query)) yield view;
        this.open -= 1;
      }
    },
  ),
];
