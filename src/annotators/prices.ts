import type { Provider } from '../providers/index.js';
import type { Usage } from './usage.js';

/** US dollars a token. */
export interface Price {
  input: number;
  /** For prompt tokens that the provider's cache held. */
  cachedInput: number;
  output: number;
}

/** The share of the online price that OpenAI's Batch API costs (https://openai.com/api/pricing). */
export const BATCH_DISCOUNT = 0.5;

const SAMPLE_TOKENS = 1000;

/**
 * The price of a model at its provider, from the table that Pydantic keeps for many providers; null where it is not
 * known. A thousand tokens stand for the ordinary tier: some models cost more above some prompt length.
 */
export async function findPrice(provider: Provider, model: string): Promise<Price | null> {
  const providerId = provider.priceId;
  if (providerId === null) return null;
  const { calcPrice } = await import('@pydantic/genai-prices');
  const priced = (cached: number): { input: number; output: number } | null => {
    const usage = { input_tokens: SAMPLE_TOKENS, cache_read_tokens: cached, output_tokens: SAMPLE_TOKENS };
    const result = calcPrice(usage, model, { providerId });
    return result === null ? null : { input: result.input_price, output: result.output_price };
  };
  const plain = priced(0);
  if (plain === null) return null;
  return {
    input: plain.input / SAMPLE_TOKENS,
    cachedInput: (priced(SAMPLE_TOKENS)?.input ?? plain.input) / SAMPLE_TOKENS,
    output: plain.output / SAMPLE_TOKENS,
  };
}

/** What an answer cost, in US dollars. */
export function costOf(usage: Usage, price: Price): number {
  const cached = Math.min(usage.cachedTokens, usage.promptTokens);
  return (
    (usage.promptTokens - cached) * price.input +
    cached * price.cachedInput +
    usage.completionTokens * price.output
  );
}
