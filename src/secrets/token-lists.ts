/**
 * Log probabilities repeat an answer's text token by token, and each token as a list of bytes. A secret in the text is in
 * them in pieces, which no search for it finds, so where a text lost one, they are emptied.
 */

import { isObject, isPlainObject } from '../lib/json.js';

/** `logprobs` of chat completions and of the Responses API, `logprobsResult` of Gemini's API. */
const LISTS = ['logprobs', 'logprobsResult'];
const MENTIONED = /"logprobs(?:Result)?"/;

/** Whether JSON may have such lists. */
export function mayHaveTokens(json: string): boolean {
  return MENTIONED.test(json);
}

/** The same value without the tokens; the lists' names stay. */
export function withoutTokens(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTokens);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      LISTS.includes(name) ? emptied(inner) : withoutTokens(inner),
    ]),
  );
}

function emptied(list: unknown): unknown {
  if (Array.isArray(list)) return [];
  return isObject(list) ? null : list;
}
