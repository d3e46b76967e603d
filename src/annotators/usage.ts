/** What an answer used, in the dialects that servers speak. */

import { isObject } from '../json.js';

/** Tokens that an answer reports; fields that a server leaves out are 0. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
  /** The part of the prompt tokens that was read from the provider's cache, at a lower price. */
  cachedTokens: number;
}

/** The token counts of a usage object; null where there is none. */
export function readUsage(usage: unknown): Usage | null {
  if (!isObject(usage)) return null;
  const details = usage['prompt_tokens_details'];
  return {
    promptTokens: numberOr(usage['prompt_tokens'], 0),
    completionTokens: numberOr(usage['completion_tokens'], 0),
    cachedTokens: isObject(details) ? numberOr(details['cached_tokens'], 0) : 0,
  };
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : otherwise;
}
