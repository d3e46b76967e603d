import type { ModelCall } from '../models/call.js';
import { mostTokens } from '../models/generation.js';
import { costOf, findPrice, highestRates, ratesAt, type Price, type Rates } from '../models/prices.js';
import { tierOf } from '../models/service-tiers.js';
import type { Usage } from '../models/usage.js';
import { UserError } from '../lib/errors.js';
import { hasOwnServer } from '../models/endpoint.js';
import type { RunPolicy } from './settings.js';
import type { Budget, Job } from '../requests/processor.js';
import { sanitize } from '../lib/text.js';

/** What exceeded its worst case once may do so again, and by more. */
const MARGIN = 2;
/** Stated costs are rounded. */
const TOLERANCE = 1.01;
/** What a request may wait for rate limits between its attempts. */
const LONGEST_WAIT_MS = 60 * 60_000;

/**
 * Keeps a run under `--max_cost`: before a request is sent, its worst case and that of all in flight must fit beside
 * what was spent. A prompt never has more tokens than bytes, and an answer no more than `max_tokens`, unless answers show
 * otherwise (hidden reasoning is billed beyond `max_tokens`, and a stated cost may be above the table's price); then the
 * worst case is raised, for requests in flight as well.
 */
export class CostBudget implements Budget {
  /** Bodies in flight: how many, and their bytes in all. */
  readonly #inFlight = new Map<Job, number>();
  #bytesInFlight = 0;
  #needed: number | null = null;
  /** Tokens of the longest answer beyond `completionTokens`. */
  #longest = 0;
  /** How often over an answer cost what the price says. */
  #overcharge = 1;
  /** Upper bounds of the price where no table knows it, from what answers state. */
  #learnt: Rates | null = null;

  /**
   * @param maximum US dollars
   * @param price what requests cost a token that are sent now; null where it is not known: then one request goes alone, and
   *   what its answer states bounds the others
   * @param completionTokens the most that one request may be answered with, over all its choices
   * @param spent US dollars so far, over all sessions
   */
  constructor(
    private readonly maximum: number,
    private readonly price: () => Rates | null,
    private readonly completionTokens: number,
    private readonly spent: () => number,
  ) {}

  reserve(job: Job): boolean {
    const requests = this.#inFlight.size + 1;
    const worst = this.#worstCase(requests, this.#bytesInFlight + job.body.length);
    const fits =
      worst === null ? requests === 1 && this.spent() < this.maximum : this.spent() + worst <= this.maximum;
    if (!fits) {
      this.#needed = this.spent() + (worst ?? 0);
      return false;
    }
    this.#inFlight.set(job, job.body.length);
    this.#bytesInFlight += job.body.length;
    return true;
  }

  /** US dollars in all that the request which was refused last would have needed; null where none was. */
  get needed(): number | null {
    return this.#needed;
  }

  settle(job: Job): void {
    this.#bytesInFlight -= this.#inFlight.get(job) ?? 0;
    this.#inFlight.delete(job);
  }

  /** Learns from what one request used, whether its answer was of use or not. */
  observe(usage: Usage): void {
    this.#longest = Math.max(this.#longest, usage.completionTokens);
    if (usage.stated === null) return;
    const { cost, promptTokens, completionTokens } = usage.stated;
    const price = this.price();
    if (price !== null) {
      const expected = costOf(usage.stated, price);
      if (expected > 0) this.#overcharge = Math.max(this.#overcharge, cost / expected);
    } else if (promptTokens > 0 && completionTokens > 0) {
      this.#learnt = lower(this.#learnt, cost / promptTokens, cost / completionTokens);
    }
  }

  /** US dollars that requests may cost at most; null where that is not known yet. */
  #worstCase(requests: number, bytes: number): number | null {
    const price = this.price() ?? this.#learnt;
    if (price === null) return null;
    const longest = this.#longest > this.completionTokens ? this.#longest * MARGIN : this.completionTokens;
    const overcharge = this.#overcharge > TOLERANCE ? this.#overcharge * MARGIN : 1;
    return overcharge * costOf({ promptTokens: bytes, completionTokens: requests * longest }, price);
  }
}

/** What bounds the cost of requests. */
export interface CostBound {
  call: Pick<ModelCall, 'generation' | 'limits'>;
  policy: Pick<RunPolicy, 'maxCost' | 'offPeak'>;
  /** Null where it is not known. */
  price: Price | null;
}

/**
 * What keeps requests under `--max_cost`; null where there is no limit. Requests that are sent at off-peak hours count at
 * off-peak rates, unless a last attempt of theirs may come later.
 * @param spent US dollars so far
 * @param now milliseconds since 1970
 */
export function budgetFor(
  { call: { generation, limits }, policy: { maxCost, offPeak }, price }: CostBound,
  spent: () => number,
  now: () => number = Date.now,
): CostBudget | null {
  if (maxCost === null) return null;
  const timeout = limits.timeout * 1000;
  // With --off_peak no attempt begins at other hours.
  const longest = offPeak === null ? limits.attempts * timeout + LONGEST_WAIT_MS : timeout;
  const tier = tierOf(generation.service_tier);
  const highest = highestRates(price, tier);
  const rates = (): Rates | null => {
    if (price === null || price.offPeak === null) return highest;
    return highestRates({ ...price, ...ratesAt(price, now(), longest) }, tier);
  };
  return new CostBudget(maxCost, rates, mostTokens(generation) ?? Infinity, spent);
}

/** A price is no higher than an answer's whole cost for each of its tokens; the lowest such bound holds. */
function lower(bound: Rates | null, perPromptToken: number, perCompletionToken: number): Rates {
  const input = Math.min(bound?.input ?? Infinity, perPromptToken);
  const output = Math.min(bound?.output ?? Infinity, perCompletionToken);
  return { input, cachedInput: input, cacheWriteInput: input, output };
}

/**
 * The price of a run's model; null where none is known.
 * @throws UserError where `--max_cost` can't be kept for that reason: batches need the price beforehand, and online the
 *   answers must be ones that may state their cost
 */
export async function priceFor(
  call: ModelCall,
  { maxCost, batch }: Pick<RunPolicy, 'maxCost' | 'batch'>,
): Promise<Price | null> {
  const { provider, model, name } = call.annotator;
  const price = await findPrice(provider, model);
  if (price !== null || maxCost === null) return price;
  const mayStateCost = !batch && (provider.statesCost || hasOwnServer(call));
  if (mayStateCost) return null;
  throw new UserError(
    `--max_cost cannot be enforced: the price of ${sanitize(name, 80)} is unknown. Remove the flag.`,
  );
}

/** Why a run under `--max_cost` stops: no price is known, and the answers state no cost either. */
export function costUnknown(name: string): string {
  return (
    `--max_cost cannot be enforced: the price of ${sanitize(name, 80)} is unknown, and the API does not state costs. ` +
    'Remove the flag.'
  );
}
