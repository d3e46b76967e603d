/** Chat completions inside something else: some gateways wrap the responses of models in a format of their own. */

import { isObject, parseJson } from '../lib/json.js';

/**
 * Fields that hold the completion, as an object or as its JSON text: `{code: 0, msg, data}` of Chinese API platforms,
 * Cloudflare's `{success, result}` (developers.cloudflare.com/api), `{statusCode, body}` of AWS Lambda behind a gateway
 * that passes it on (docs.aws.amazon.com/apigateway, Lambda proxy integration).
 */
const FIELDS = ['data', 'result', 'response', 'body', 'output', 'payload', 'completion'] as const;
/** A text in a field in a list of one. */
const DEEPEST = 3;

/** The completion that a JSON value holds; null where it is one itself, or holds none. */
export function inEnvelope(value: unknown): Record<string, unknown> | null {
  return isObject(value) && Array.isArray(value['choices']) ? null : find(value, DEEPEST);
}

function find(value: unknown, depth: number): Record<string, unknown> | null {
  if (depth < 0) return null;
  if (typeof value === 'string') return /^\s*[[{]/.test(value) ? find(parseJson(value), depth - 1) : null;
  if (Array.isArray(value)) return value.length === 1 ? find(value[0], depth - 1) : null;
  if (!isObject(value)) return null;
  if (isCompletion(value)) return value;
  for (const field of FIELDS) {
    const found = find(value[field], depth - 1);
    if (found !== null) return found;
  }
  return null;
}

/** Other APIs have choices as well; those of DashScope's own come without what makes a completion of them. */
function isCompletion({ object, id, model, choices }: Record<string, unknown>): boolean {
  const isNamed =
    typeof object === 'string' ? object.startsWith('chat.completion') : isText(id) || isText(model);
  return isNamed && Array.isArray(choices) && isObject(choices[0]);
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}
