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

/** What a model costs at its provider. */
export interface Price extends Rates {
  /** What a batch usually costs, as a share of that, and what it may cost. */
  batchShare: number;
  highestBatchShare: number;
  /** Service tiers, as shares of it. */
  tiers: TierShares;
}

const SAMPLE_TOKENS = 1000;

/**
 * The price of a model at its provider, from the table that Pydantic keeps for many providers; null where it is not
 * known. A thousand tokens stand for the ordinary tier: some models cost more above some prompt length.
 */
export async function findPrice(provider: Provider, model: string): Promise<Price | null> {
  const providerId = provider.priceId;
  if (providerId === null) return null;
  const { calcPrice } = await import('@pydantic/genai-prices');
  const priced = (cache: { cache_read_tokens?: number; cache_write_tokens?: number }): Sample | null => {
    const usage = { input_tokens: SAMPLE_TOKENS, ...cache, output_tokens: SAMPLE_TOKENS };
    const result = calcPrice(usage, model, { providerId });
    return result === null ? null : { input: result.input_price, output: result.output_price };
  };
  const plain = priced({});
  if (plain === null) return null;
  return {
    input: plain.input / SAMPLE_TOKENS,
    cachedInput: (priced({ cache_read_tokens: SAMPLE_TOKENS })?.input ?? plain.input) / SAMPLE_TOKENS,
    cacheWriteInput: (priced({ cache_write_tokens: SAMPLE_TOKENS })?.input ?? plain.input) / SAMPLE_TOKENS,
    output: plain.output / SAMPLE_TOKENS,
    batchShare: provider.batches?.price ?? 1,
    highestBatchShare: provider.batches?.highestPrice ?? 1,
    tiers: tierShares(providerId, model),
  };
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

/** US dollars for a thousand tokens each way. */
interface Sample {
  input: number;
  output: number;
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
