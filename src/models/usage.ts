/** What an answer used and what it cost, in the dialects that servers speak. */

import { isObject } from '../lib/json.js';
import type { ServiceTier } from './service-tiers.js';

/** Counts of tokens. */
export interface TokenCounts {
  promptTokens: number;
  /** Everything that is billed as output, reasoning included. */
  completionTokens: number;
  /** The part of the prompt tokens that was read from the provider's cache, at a lower price. */
  cachedTokens: number;
  /** The part of the prompt tokens that was written to the provider's cache, at a higher price. */
  cacheWriteTokens: number;
}

/** What one answer used, or the sum over many. */
export interface Usage extends TokenCounts {
  /** The part of the completion tokens that the server says were spent on reasoning. */
  reasoningTokens: number;
  /** What answers that state their own cost say, and the tokens that this covers; null where none states it. */
  stated: StatedCost | null;
  /** Answers whose tokens were counted from their texts, because the server does not report them. */
  estimated: number;
}

export interface StatedCost extends TokenCounts {
  /** US dollars. */
  cost: number;
}

/** The part of an answer that counts for a run's figures. */
export interface AnswerFigures {
  usage: Usage;
  tier: ServiceTier;
}

const NO_TOKENS: TokenCounts = Object.freeze({
  promptTokens: 0,
  completionTokens: 0,
  cachedTokens: 0,
  cacheWriteTokens: 0,
});
export const NO_USAGE: Usage = Object.freeze({
  ...NO_TOKENS,
  reasoningTokens: 0,
  stated: null,
  estimated: 0,
});

/** No model reads or writes more in one request; a larger number is a server's mistake. */
export const MOST_TOKENS = 1e8;
/** US dollars; no single answer costs more. */
const HIGHEST_COST = 1000;

/** A field by its name, or by the names of an object and of a field in it. */
type Field = string | readonly [string, string];

/*
 * Where the counts are found; the first number wins. Fields of the Responses and of Anthropic's API are here because
 * gateways pass them on unchanged.
 */
const PROMPT: readonly Field[] = ['prompt_tokens', 'input_tokens', 'promptTokens', 'inputTokens'];
const COMPLETION: readonly Field[] = [
  'completion_tokens',
  'output_tokens',
  'completionTokens',
  'outputTokens',
];
const TOTAL: readonly Field[] = ['total_tokens', 'totalTokens'];
const CACHED: readonly Field[] = [
  // OpenAI and most others; the second is the Responses API.
  ['prompt_tokens_details', 'cached_tokens'],
  ['input_tokens_details', 'cached_tokens'],
  // DeepSeek: https://api-docs.deepseek.com/guides/kv_cache
  'prompt_cache_hit_tokens',
  // Anthropic, and LiteLLM for it: https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching
  'cache_read_input_tokens',
  // Moonshot
  'cached_tokens',
  // Gemini: https://ai.google.dev/api/generate-content#UsageMetadata
  'cached_content_token_count',
  'cachedContentTokenCount',
];
const CACHE_WRITES: readonly Field[] = [
  'cache_creation_input_tokens',
  // OpenRouter
  ['prompt_tokens_details', 'cache_write_tokens'],
  // LiteLLM
  ['prompt_tokens_details', 'cache_creation_tokens'],
];
const REASONING: readonly Field[] = [
  ['completion_tokens_details', 'reasoning_tokens'],
  ['output_tokens_details', 'reasoning_tokens'],
  'reasoning_tokens',
];

/** Where an answer states what it cost, and how many of that unit make one US dollar. */
const COSTS: readonly { field: Field; perDollar: number }[] = [
  // xAI: https://docs.x.ai/developers/cost-tracking
  { field: 'cost_in_usd_ticks', perDollar: 1e10 },
  // OpenRouter: https://openrouter.ai/docs/use-cases/usage-accounting
  { field: 'cost', perDollar: 1 },
  // Perplexity, whose `cost` is an object: https://docs.perplexity.ai/api-reference/chat-completions-post
  { field: ['cost', 'total_cost'], perDollar: 1 },
  { field: 'total_cost', perDollar: 1 },
  // DeepInfra: https://deepinfra.com/docs/openai_api
  { field: 'estimated_cost', perDollar: 1 },
];

/**
 * The token counts and the cost of a usage object; null where it reports nothing. A count that it leaves out, or that
 * is no count (negative, not finite, absurdly large), is 0.
 */
export function readUsage(usage: unknown): Usage | null {
  if (!isObject(usage)) return null;
  const plain = readPlain(usage);
  if (plain !== null) return plain.promptTokens + plain.completionTokens === 0 ? null : plain;
  const reported = readTokens(usage);
  const cost = readCost(usage);
  if (cost === null && reported.promptTokens === 0 && reported.completionTokens === 0) return null;
  const reasoning = Math.min(firstCount(usage, REASONING) ?? 0, reported.completionTokens);
  return {
    ...reported,
    reasoningTokens: reasoning,
    stated: cost === null ? null : { ...reported, cost },
    estimated: 0,
  };
}

/** OpenAI's counts and nothing else, as most answers have them; every answer comes by here, so that pays. */
function readPlain(usage: Record<string, unknown>): Usage | null {
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = usage;
  if (!isCount(promptTokens) || !isCount(completionTokens)) return null;
  if (usage['total_tokens'] !== promptTokens + completionTokens) return null;
  const details = usage['prompt_tokens_details'];
  const known = 3 + Number(details !== undefined) + Number(usage['completion_tokens_details'] !== undefined);
  if (Object.keys(usage).length !== known) return null;
  const reasoning = plainReasoning(usage['completion_tokens_details'], completionTokens);
  if (reasoning === null) return null;
  if (details === undefined) return plainUsage(promptTokens, completionTokens, 0, reasoning);
  if (!isObject(details) || 'cache_write_tokens' in details || 'cache_creation_tokens' in details)
    return null;
  const cachedTokens = details['cached_tokens'] ?? 0;
  if (!isCount(cachedTokens) || cachedTokens > promptTokens) return null;
  return plainUsage(promptTokens, completionTokens, cachedTokens, reasoning);
}

/** Null where it is spelled otherwise than as a number. */
function plainReasoning(details: unknown, completionTokens: number): number | null {
  const tokens = (isObject(details) ? details['reasoning_tokens'] : null) ?? 0;
  return isCount(tokens) ? Math.min(tokens, completionTokens) : null;
}

/** Counts that mean what they mean at OpenAI. */
export function plainUsage(
  promptTokens: number,
  completionTokens: number,
  cachedTokens: number,
  reasoningTokens: number,
): Usage {
  return {
    promptTokens,
    completionTokens,
    cachedTokens,
    cacheWriteTokens: 0,
    reasoningTokens,
    stated: null,
    estimated: 0,
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MOST_TOKENS / 2;
}

function readTokens(usage: Record<string, unknown>): TokenCounts {
  let promptTokens = firstCount(usage, PROMPT) ?? 0;
  let completionTokens = firstCount(usage, COMPLETION) ?? 0;
  const total = firstCount(usage, TOTAL);
  const cachedTokens = firstCount(usage, CACHED) ?? 0;
  const cacheWriteTokens = firstCount(usage, CACHE_WRITES) ?? 0;
  const besideIt = cachedTokens + cacheWriteTokens;
  if (besideIt > 0 && isBesidePrompt(usage, { promptTokens, completionTokens, total, besideIt }))
    promptTokens += besideIt;
  if (total === null) {
    // Reasoning is a part of the output, unless there is more of it than output.
    const reasoning = firstCount(usage, REASONING) ?? 0;
    if (reasoning > completionTokens) completionTokens += reasoning;
  } else if (promptTokens > 0 && total > promptTokens + completionTokens) {
    // xAI and Gemini report reasoning beside the output and bill it as output (github.com/vercel/ai/issues/12425).
    completionTokens = total - promptTokens;
  }
  return { promptTokens, completionTokens, cachedTokens, cacheWriteTokens };
}

/** Tokens as a usage states them; `besideIt` are those of the cache. */
interface StatedTokens {
  promptTokens: number;
  completionTokens: number;
  total: number | null;
  besideIt: number;
}

/** Anthropic's own counts leave what was read from and written to the cache out of the input; all others include it. */
function isBesidePrompt(
  usage: Record<string, unknown>,
  { promptTokens: prompt, completionTokens: completion, total, besideIt: cached }: StatedTokens,
): boolean {
  const isAnthropic = 'cache_read_input_tokens' in usage || 'cache_creation_input_tokens' in usage;
  if (cached > prompt) return true;
  if (total !== null && total >= prompt + completion)
    return isAnthropic && total === prompt + completion + cached;
  return isAnthropic && 'input_tokens' in usage && !('prompt_tokens' in usage);
}

function readCost(usage: Record<string, unknown>): number | null {
  for (const { field, perDollar } of COSTS) {
    const units = numeric(fieldAt(usage, field));
    if (units === null || units < 0 || units / perDollar > HIGHEST_COST) continue;
    return units / perDollar + (field === 'cost' ? upstreamCost(usage) : 0);
  }
  return null;
}

/** With a key of one's own, OpenRouter's `cost` is its fee, and the provider bills its own price beside it. */
function upstreamCost(usage: Record<string, unknown>): number {
  const upstream = numeric(fieldAt(usage, ['cost_details', 'upstream_inference_cost']));
  const isBilled =
    usage['is_byok'] === true && upstream !== null && upstream >= 0 && upstream <= HIGHEST_COST;
  return isBilled ? upstream : 0;
}

function firstCount(usage: Record<string, unknown>, fields: readonly Field[]): number | null {
  for (const field of fields) {
    const value = numeric(fieldAt(usage, field));
    if (value !== null && value >= 0 && value <= MOST_TOKENS) return Math.round(value);
  }
  return null;
}

function fieldAt(usage: Record<string, unknown>, field: Field): unknown {
  if (typeof field === 'string') return usage[field];
  const outer = usage[field[0]];
  return isObject(outer) ? outer[field[1]] : undefined;
}

/** A number, also one that is written as text. */
function numeric(value: unknown): number | null {
  const isText = typeof value === 'string' && /^\d{1,30}(?:\.\d{1,30})?(?:e[+-]?\d{1,2})?$/i.test(value);
  const number = isText ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}

/** The sum of what was used, as a new object. */
export function addUsage(a: Usage, b: Usage): Usage {
  const sum = copyUsage(a);
  accumulate(sum, b);
  return sum;
}

export function copyUsage(usage: Usage): Usage {
  return { ...usage, stated: usage.stated === null ? null : { ...usage.stated } };
}

/** Adds to a sum in place: a journal of a million answers makes no objects for it. */
export function accumulate(sum: Usage, usage: Usage): void {
  addTokens(sum, usage);
  sum.reasoningTokens += usage.reasoningTokens;
  sum.estimated += usage.estimated;
  if (usage.stated === null) return;
  sum.stated ??= { ...NO_TOKENS, cost: 0 };
  addTokens(sum.stated, usage.stated);
  sum.stated.cost += usage.stated.cost;
}

function addTokens(sum: TokenCounts, tokens: TokenCounts): void {
  sum.promptTokens += tokens.promptTokens;
  sum.completionTokens += tokens.completionTokens;
  sum.cachedTokens += tokens.cachedTokens;
  sum.cacheWriteTokens += tokens.cacheWriteTokens;
}

/** A sum of usage as a file of the run holds it; files of earlier versions lack some of its fields. */
export function restoreUsage(value: unknown): Usage {
  if (!isObject(value)) return NO_USAGE;
  const { stated } = value;
  const cost = isObject(stated) ? amount(stated['cost']) : 0;
  return {
    ...restoreTokens(value),
    reasoningTokens: amount(value['reasoningTokens']),
    stated: isObject(stated) ? { ...restoreTokens(stated), cost } : null,
    estimated: amount(value['estimated']),
  };
}

function restoreTokens(value: Record<string, unknown>): TokenCounts {
  return {
    promptTokens: amount(value['promptTokens']),
    completionTokens: amount(value['completionTokens']),
    cachedTokens: amount(value['cachedTokens']),
    cacheWriteTokens: amount(value['cacheWriteTokens']),
  };
}

function amount(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0;
}

/** Tokens of answers that do not state what they cost. */
export function unstatedTokens({ stated, ...all }: Usage): TokenCounts {
  if (stated === null) return all;
  return {
    promptTokens: all.promptTokens - stated.promptTokens,
    completionTokens: all.completionTokens - stated.completionTokens,
    cachedTokens: all.cachedTokens - stated.cachedTokens,
    cacheWriteTokens: all.cacheWriteTokens - stated.cacheWriteTokens,
  };
}
