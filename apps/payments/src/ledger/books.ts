import { Injectable } from '@nestjs/common';
import type { Charge, Entry, Refund } from './entry.js';
import type { Ledger } from './ledger.js';

/** The ledger in memory, for looking things up. Holds what is on the disk and nothing else. */
@Injectable()
export class Books {
  private readonly byKey = new Map<string, Entry>();
  private readonly charges = new Map<string, Charge>();
  private readonly byReference = new Map<string, Charge[]>();
  private readonly refunds = new Map<string, Refund>();

  constructor(private readonly ledger: Ledger) {
    for (const entry of ledger.entries) this.add(entry);
  }

  /** Why no decision can be written any more. */
  get failure(): Error | undefined {
    return this.ledger.failure;
  }

  decided(key: string): Entry | undefined {
    return this.byKey.get(key);
  }

  charge(id: string): Charge | undefined {
    return this.charges.get(id);
  }

  refundOf(charge: string): Refund | undefined {
    return this.refunds.get(charge);
  }

  chargesFor(reference: string): readonly Charge[] {
    return this.byReference.get(reference) ?? [];
  }

  /** Resolves when the entry cannot be lost any more. */
  async write(entry: Entry): Promise<void> {
    await this.ledger.append(entry);
    this.add(entry);
  }

  private add(entry: Entry): void {
    const { key, charge, refund } = entry;
    this.byKey.set(key, entry);
    if (refund) this.refunds.set(refund.charge, refund);
    if (!charge) return;
    this.charges.set(charge.id, charge);
    this.byReference.set(charge.reference, [...this.chargesFor(charge.reference), charge]);
  }
}
