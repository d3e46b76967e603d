/** Models that think before they answer, so that an ordinary limit of tokens cuts them off. */

/** Tokens below which answers of thinking models are often cut off: open-thoughts uses 8,192, open-r1 16,384. */
export const TOKENS_TO_THINK = 8192;

/** By the names that models go by, whatever is before and after. */
const THINKING = [
  /(?:^|[/:])o[1-9](?:$|[-.])/, // OpenAI
  /gpt-(?:[5-9]|oss)(?!.*chat)/,
  /(?:^|[^a-z0-9])r1(?:$|[^a-z0-9])/, // DeepSeek and what is distilled from it
  /thinking|reason|qwq|magistral/,
  /gemini-(?:2\.5-pro|[3-9])/,
  /grok-(?:3-mini|[4-9])(?!.*non-reasoning)/,
];

/** True for a model that is known to think before it answers. */
export function isThinkingModel(model: string): boolean {
  const name = model.toLowerCase();
  return !/non-(?:reason|think)/.test(name) && THINKING.some((pattern) => pattern.test(name));
}
