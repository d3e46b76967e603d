/** What the answers of one annotator used, and what that cost. */

import type { Annotator } from '../models/annotators.js';
import { findPrice, offPeakSaving, shareOf, totalCost, type Cost, type Price } from '../models/prices.js';
import { PRICED_TIERS, type PricedTier } from '../models/service-tiers.js';
import {
  accumulate,
  addUsage,
  copyUsage,
  NO_USAGE,
  type AnswerFigures,
  type Usage,
} from '../models/usage.js';

/** What an annotator's batches used: all of it, and the part that was spent on answers which could not be used. */
export interface BatchUsage {
  usage: Usage;
  wasted: Usage;
}

const NO_BATCHES: BatchUsage = { usage: NO_USAGE, wasted: NO_USAGE };

export class Account {
  /** Answers that the journal holds and a row uses. */
  answers = 0;
  batches: BatchUsage = NO_BATCHES;
  /** Tokens of answers that no journal holds, over all sessions. */
  readonly wasted: Usage;
  /** The part of all tokens that was used at off-peak hours, over all sessions. */
  readonly offPeak: Usage;
  /** Of the journal's answers and of online answers that could not be used. */
  readonly #used: Usage;
  /** The parts of it that service tiers with a price of their own answered. */
  readonly #tiers: Readonly<Record<PricedTier, Usage>> = {
    flex: copyUsage(NO_USAGE),
    priority: copyUsage(NO_USAGE),
  };

  /**
   * @param wasted what earlier sessions wasted
   * @param price null where it is not known, or not looked up yet
   * @param offPeak what earlier sessions used at off-peak hours
   */
  constructor(
    wasted: Usage,
    private price: Price | null,
    offPeak: Usage = NO_USAGE,
  ) {
    this.wasted = copyUsage(wasted);
    this.offPeak = copyUsage(offPeak);
    this.#used = copyUsage(wasted);
  }

  /** Looks the price up where that was not done at the start. */
  async findPrice({ provider, model }: Pick<Annotator, 'provider' | 'model'>): Promise<void> {
    this.price ??= await findPrice(provider, model);
  }

  /** An answer that the journal holds. */
  addAnswer(answer: AnswerFigures): void {
    this.answers += 1;
    this.addUnused(answer);
  }

  /** An answer that the journal holds and no row uses: the next session finds it there, so `counters.json` leaves it out. */
  addUnused({ usage, tier }: AnswerFigures): void {
    accumulate(this.#used, usage);
    if (tier !== 'standard') accumulate(this.#tiers[tier], usage);
  }

  /** Tokens that were paid for an answer which could not be used, and which no journal holds. */
  addWasted(usage: Usage): void {
    accumulate(this.wasted, usage);
    accumulate(this.#used, usage);
  }

  /**
   * Notes when tokens were used; `addAnswer` and the others count them.
   * @param from when the request was sent, in milliseconds since 1970
   * @param to when it was answered
   */
  noteHours(usage: Usage, from: number, to: number): void {
    // No provider says which of the two times counts.
    if (this.price?.offPeak?.hours.includesAll(from, to) === true) accumulate(this.offPeak, usage);
  }

  /** Takes over what another folder's sessions used at off-peak hours. */
  addOffPeak(usage: Usage): void {
    accumulate(this.offPeak, usage);
  }

  /** Over all sessions and batches. */
  get usage(): Usage {
    return addUsage(this.#used, this.batches.wasted);
  }

  /** Null where nothing is known of it. */
  get cost(): Cost | null {
    const { price } = this;
    const tiers = PRICED_TIERS.map((tier) => ({
      usage: this.#tiers[tier],
      share: price === null ? null : shareOf(price, tier),
    }));
    const cost = totalCost(this.usage, price, [
      { usage: this.batches.usage, share: price?.batchShare ?? 1 },
      ...tiers,
    ]);
    if (cost !== null && price !== null)
      cost.amount = Math.max(0, cost.amount - offPeakSaving(this.offPeak, price));
    return cost;
  }

  /** US dollars that answers would have cost online; null where that is not known. */
  costOf(usage: Usage): number | null {
    return totalCost(usage, this.price)?.amount ?? null;
  }
}
