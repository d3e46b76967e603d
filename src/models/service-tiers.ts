/** What service tiers cost, as shares of the ordinary price of a model. */

/** Service tiers that have a price of their own, by the names that `service_tier` of requests and answers has for them. */
export const PRICED_TIERS = ['flex', 'priority'] as const;
export type PricedTier = (typeof PRICED_TIERS)[number];
export type ServiceTier = PricedTier | 'standard';

/** The tier that answered, which need not be the one that was requested. */
export function tierOf(serviceTier: unknown): ServiceTier {
  return PRICED_TIERS.find((tier) => tier === serviceTier) ?? 'standard';
}

/** Shares of the ordinary price; null where a tier's price is not known. */
export type TierShares = Readonly<Record<PricedTier, number | null>>;

/** Of a provider that has no such tiers, or says nothing of their prices: flex is nowhere dearer. */
const USUAL: TierShares = { flex: 1, priority: null };

/** OpenAI's priority tier: https://openai.com/api-priority-processing, prices over those of https://openai.com/api/pricing. */
const OPENAI_PRIORITY: readonly { models: RegExp; share: number }[] = [
  { models: /^gpt-5\.5(?!.*pro)/, share: 2.5 },
  { models: /^gpt-5-mini/, share: 1.8 },
  { models: /^gpt-5(?:\.[1-4])?(?!.*(?:nano|pro))/, share: 2 },
  { models: /^gpt-4\.1-nano/, share: 2 },
  { models: /^gpt-4\.1/, share: 1.75 },
  { models: /^gpt-4o-2024-05-13/, share: 1.75 },
  { models: /^gpt-4o-mini/, share: 5 / 3 },
  { models: /^gpt-4o/, share: 1.7 },
  { models: /^o3(?!-(?:mini|pro|deep))/, share: 1.75 },
  { models: /^o4-mini(?!-deep)/, share: 20 / 11 },
];

/**
 * What the tiers of a model cost.
 * @param priceId the provider's name in the price table
 */
export function tierShares(priceId: string | null, model: string): TierShares {
  // https://developers.openai.com/api/docs/guides/flex-processing: the price of a batch
  if (priceId === 'openai')
    return { flex: 0.5, priority: OPENAI_PRIORITY.find(({ models }) => models.test(model))?.share ?? null };
  // https://learn.microsoft.com/azure/foundry/openai/how-to/flex-processing: half the price
  if (priceId === 'azure') return { flex: 0.5, priority: null };
  // https://console.groq.com/docs/flex-processing among them: the price of the on-demand tier
  return USUAL;
}
