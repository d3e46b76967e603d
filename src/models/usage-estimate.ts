/** Tokens of answers whose server does not report them, counted from the texts that were sent and received. */

import { isObject, parseJson } from '../lib/json.js';
import { estimateTokens } from './text-tokens.js';
import { NO_USAGE, type Usage } from './usage.js';

/** Tokens that a chat template adds to every message (OpenAI cookbook, "How to count tokens with tiktoken"). */
const TOKENS_PER_MESSAGE = 4;

/** The usage as reported, if it covers all that is billed (no request and no answer is without tokens); null otherwise. */
export function fullyReported(usage: Usage | null): Usage | null {
  return usage !== null && usage.promptTokens > 0 && usage.completionTokens > 0 ? usage : null;
}

/**
 * What an answer used: as the server reports it, and counted from the texts where it does not.
 * @param reported what the answer's `usage` says
 * @param request the request body that was sent, as JSON
 * @param response the answer, as JSON
 */
export function usageOfAnswer(reported: Usage | null, request: Buffer, response: Buffer): Usage {
  const whole = fullyReported(reported);
  if (whole !== null) return whole;
  return usageFromTexts(reported, parseJson(request.toString('utf8')), parseJson(response.toString('utf8')));
}

/** The same for a request and an answer that were parsed already. */
export function usageFromTexts(reported: Usage | null, request: unknown, response: unknown): Usage {
  const whole = fullyReported(reported);
  if (whole !== null) return whole;
  const known = reported ?? NO_USAGE;
  const promptTokens = known.promptTokens > 0 ? known.promptTokens : promptTokensOf(request);
  const completionTokens = known.completionTokens > 0 ? known.completionTokens : completionTokensOf(response);
  const isEstimate = promptTokens !== known.promptTokens || completionTokens !== known.completionTokens;
  const tokens = { ...known, promptTokens, completionTokens };
  // A cost that the answer states covers all of it, whatever its tokens.
  const stated = known.stated === null ? null : { ...known.stated, promptTokens, completionTokens };
  return { ...tokens, stated, estimated: isEstimate ? 1 : 0 };
}

/**
 * What an answer that cannot be used has cost: as the server reports it, else with the tokens of what came. Those of the
 * prompt are missing where they are not reported, see `withPrompt`.
 * @param came what arrived of the answer: a completion, perhaps broken off, or the text of what is none
 */
export function usageOfUnusable(reported: Usage | null, came: unknown): Usage {
  const whole = fullyReported(reported);
  if (whole !== null) return whole;
  const known = reported ?? NO_USAGE;
  const texts = typeof came === 'string' ? estimateTokens(came) : completionTokensOf(came);
  const completionTokens = known.completionTokens > 0 ? known.completionTokens : texts;
  return { ...known, completionTokens, estimated: 1 };
}

/** The usage of an answer that cannot be used, with the tokens of its prompt where the server did not report them. */
export function withPrompt(usage: Usage, request: Buffer): Usage {
  if (usage.promptTokens > 0) return usage;
  return { ...usage, promptTokens: promptTokensOf(parseJson(request.toString('utf8'))), estimated: 1 };
}

function promptTokensOf(request: unknown): number {
  if (!isObject(request) || !Array.isArray(request['messages'])) return 0;
  const messages = request['messages'].filter(isObject);
  const texts = messages.reduce((sum, message) => sum + messageTokens(message), 0);
  const tools = Array.isArray(request['tools']) ? estimateTokens(JSON.stringify(request['tools'])) : 0;
  return texts + messages.length * TOKENS_PER_MESSAGE + tools;
}

/** Tokens of all choices, reasoning and tool calls included. */
function completionTokensOf(response: unknown): number {
  if (!isObject(response) || !Array.isArray(response['choices'])) return 0;
  return response['choices']
    .filter(isObject)
    .map(({ message }) => (isObject(message) ? messageTokens(message) : 0))
    .reduce((sum, tokens) => sum + tokens, 0);
}

function messageTokens(message: Record<string, unknown>): number {
  // The same reasoning may be there under several names.
  const reasoning = ['reasoning_content', 'reasoning', 'reasoning_details']
    .map((field) => textTokens(message[field]))
    .find((tokens) => tokens > 0);
  const calls = Array.isArray(message['tool_calls'])
    ? estimateTokens(JSON.stringify(message['tool_calls']))
    : 0;
  return textTokens(message['content']) + textTokens(message['refusal']) + (reasoning ?? 0) + calls;
}

/** Tokens of a text, or of a list of parts such as `{type: "text", text}` or `{type: "thinking", thinking: […]}`. */
function textTokens(value: unknown): number {
  if (typeof value === 'string') return estimateTokens(value);
  if (!Array.isArray(value)) return 0;
  return value
    .filter(isObject)
    .flatMap((part) => [part['text'], part['thinking'], part['summary']])
    .reduce((sum: number, text) => sum + textTokens(text), 0);
}
