import { hourlyRates, knownHourlyRates, windowsOf, type OffPeak } from './hourly-prices.js';
import type { Provider } from './providers.js';
import { tierShares, type ServiceTier, type TierShares } from './service-tiers.js';
import { unstatedTokens, type TokenCounts, type Usage } from './usage.js';

/** US dollars a token. */
export interface Rates {
  input: number;
  /** For prompt tokens that the provider's cache held. */
  cachedInput: number;
  /** For prompt tokens that are written to the cache; some providers charge more for them. */
  cacheWriteInput: number;
  output: number;
}

/** What a model costs at its provider; where that depends on the hour, at the most expensive one. */
export interface Price extends Rates {
  /** Lower rates at some hours; null where the hour makes no difference. */
  offPeak: OffPeak | null;
  /** What a batch usually costs, as a share of that, and what it may cost. */
  batchShare: number;
  highestBatchShare: number;
  /** Service tiers, as shares of it. */
  tiers: TierShares;
}

const SAMPLE_TOKENS = 1000;

/**
 * The price of a model at its provider, from the table that Pydantic keeps for many providers, and from
 * providers' own prices by the hour; null where it is not known. It is that of a thousand tokens: some models cost more above
 * some prompt length.
 */
export async function findPrice(provider: Provider, model: string): Promise<Price | null> {
  const providerId = provider.priceId;
  if (providerId === null) return null;
  const hourly = knownHourlyRates(providerId, model) ?? (await ratesInTable(providerId, model, Date.now()));
  if (hourly === null) return null;
  return {
    ...hourly.peak,
    offPeak: hourly.offPeak,
    batchShare: provider.batches?.price ?? 1,
    highestBatchShare: provider.batches?.highestPrice ?? 1,
    tiers: tierShares(providerId, model),
  };
}

/** True where what a model costs is known to depend on the hour; the price table may know of others. */
export function hasHourlyPrice({ provider, model }: { provider: Provider; model: string }): boolean {
  return provider.priceId !== null && knownHourlyRates(provider.priceId, model) !== null;
}

async function ratesInTable(providerId: string, model: string, now: number): Promise<PricedHours | null> {
  const { calcPrice } = await import('@pydantic/genai-prices');
  const sampleAt = (time: number, cache: object = {}): ReturnType<typeof calcPrice> => {
    const usage = { input_tokens: SAMPLE_TOKENS, ...cache, output_tokens: SAMPLE_TOKENS };
    return calcPrice(usage, model, { providerId, timestamp: new Date(time) });
  };
  const found = sampleAt(now);
  if (found === null) return null;
  const ratesOf = (time: number): Rates => {
    const plain = sampleAt(time) ?? found;
    const cached = sampleAt(time, { cache_read_tokens: SAMPLE_TOKENS }) ?? plain;
    const written = sampleAt(time, { cache_write_tokens: SAMPLE_TOKENS }) ?? plain;
    return {
      input: plain.input_price / SAMPLE_TOKENS,
      cachedInput: cached.input_price / SAMPLE_TOKENS,
      cacheWriteInput: written.input_price / SAMPLE_TOKENS,
      output: plain.output_price / SAMPLE_TOKENS,
    };
  };
  const hourly = hourlyRates(windowsOf(found.model), ratesOf, now);
  return hourly ?? { peak: ratesOf(now), offPeak: null };
}

/** Rates at all hours; `offPeak` is null where all cost the same. */
interface PricedHours {
  peak: Rates;
  offPeak: OffPeak | null;
}

/**
 * What a request costs a token that is sent now: the off-peak rates where it is sure to be answered at off-peak hours as
 * well, since no provider says which of both times counts.
 * @param longest milliseconds that it may take
 */
export function ratesAt(price: Price, now: number, longest: number): Rates {
  const { offPeak } = price;
  return offPeak?.hours.includesAll(now, now + longest) === true ? offPeak.rates : price;
}

/** The share of the ordinary price that a tier costs; null where that is not known. */
export function shareOf({ tiers }: Price, tier: ServiceTier): number | null {
  return tier === 'standard' ? 1 : tiers[tier];
}

/** The most that a request costs a token: a tier without capacity may be answered at the ordinary price. */
export function highestRates(price: Price | null, tier: ServiceTier): Rates | null {
  const share = price === null ? null : shareOf(price, tier);
  if (price === null || share === null) return null;
  const most = Math.max(1, share);
  return {
    input: price.input * most,
    cachedInput: price.cachedInput * most,
    cacheWriteInput: price.cacheWriteInput * most,
    output: price.output * most,
  };
}

/** What tokens cost by the table of prices, in US dollars. */
export function costOf(
  {
    promptTokens,
    completionTokens,
    cachedTokens = 0,
    cacheWriteTokens = 0,
  }: Pick<TokenCounts, 'promptTokens' | 'completionTokens'> & Partial<TokenCounts>,
  price: Rates,
): number {
  const cached = Math.min(cachedTokens, promptTokens);
  const written = Math.min(cacheWriteTokens, promptTokens - cached);
  return (
    (promptTokens - cached - written) * price.input +
    cached * price.cachedInput +
    written * price.cacheWriteInput +
    completionTokens * price.output
  );
}

/** A sum of money, and whether a part of it had to be guessed. */
export interface Cost {
  /** US dollars. */
  amount: number;
  isEstimate: boolean;
}

/** A part of what was used that does not cost the ordinary price. */
export interface PricedPart {
  usage: Usage;
  /** Of the ordinary price; null where it is not known. Stated costs include it. */
  share: number | null;
}

/** US dollars that tokens cost less because they were used at off-peak hours. */
export function offPeakSaving(usage: Usage, price: Price): number {
  const { offPeak } = price;
  if (offPeak === null) return 0;
  const tokens = unstatedTokens(usage);
  return Math.max(0, costOf(tokens, price) - costOf(tokens, offPeak.rates));
}

/**
 * What was used cost: what the answers themselves state, and the table's price for the others. Where no price is known
 * but some answers state their cost, the others are taken to cost as much for each token.
 * @param price null where none is known
 * @param parts of `used`
 * @returns null where the cost, or that of a part, is not known
 */
export function totalCost(used: Usage, price: Rates | null, parts: readonly PricedPart[] = []): Cost | null {
  const { stated } = used;
  const unstated = unstatedTokens(used);
  const statedCost = stated?.cost ?? 0;
  const isEstimate = used.estimated > 0;
  if (price !== null) {
    let amount = statedCost + costOf(unstated, price);
    for (const { usage, share } of parts) {
      const ordinary = costOf(unstatedTokens(usage), price);
      if (ordinary > 0 && share === null) return null;
      amount += ordinary * ((share ?? 1) - 1);
    }
    return { amount, isEstimate };
  }
  if (stated === null) return null;
  const others = unstated.promptTokens + unstated.completionTokens;
  const known = stated.promptTokens + stated.completionTokens;
  if (others === 0) return { amount: statedCost, isEstimate: false };
  return known === 0 ? null : { amount: statedCost * (1 + others / known), isEstimate: true };
}
