import { costOf, findPrice, type Price } from '../annotators/prices.js';
import { UserError } from '../errors.js';
import type { RunOptions } from '../options.js';
import type { Budget, Job } from '../requests/processor.js';
import { inert } from '../text.js';

/**
 * Keeps a run under `--max_cost`: before a request is sent, its worst case and that of all in flight must fit beside
 * what was spent. A prompt never has more tokens than bytes, so the worst case is certain.
 */
export class CostBudget implements Budget {
  #reserved = 0;
  readonly #reservations = new Map<number, number>();

  /**
   * @param maximum US dollars
   * @param completionTokens the most that one request may be answered with, over all its choices
   * @param spent US dollars so far, over all sessions
   */
  constructor(
    private readonly maximum: number,
    private readonly price: Price,
    private readonly completionTokens: number,
    private readonly spent: () => number,
  ) {}

  reserve(job: Job): boolean {
    const worst = this.worstCase(job);
    if (this.spent() + this.#reserved + worst > this.maximum) return false;
    this.#reserved += worst;
    this.#reservations.set(job.requestIdx, worst);
    return true;
  }

  settle(job: Job): void {
    this.#reserved -= this.#reservations.get(job.requestIdx) ?? 0;
    this.#reservations.delete(job.requestIdx);
  }

  /** US dollars that one job may cost at most. */
  worstCase(job: Job): number {
    return costOf(
      { promptTokens: job.body.length, completionTokens: this.completionTokens, cachedTokens: 0 },
      this.price,
    );
  }
}

/**
 * The price of a run's model; null where none is known.
 * @throws UserError where `--max_cost` can't be kept therefore
 */
export async function priceFor(options: RunOptions): Promise<Price | null> {
  const { provider, model, name } = options.annotator;
  const price = await findPrice(provider, model);
  if (price === null && options.maxCost !== null) {
    throw new UserError(
      `--max_cost can't be kept: no price is known for ${inert(name, 80)}. Leave the flag out.`,
    );
  }
  return price;
}
