/**
 * What an answer (or its absence) means for the row and for the run: decided once, here, where status, code and
 * headers are known.
 *
 * - `answer`: the row has its answer, whatever its state;
 * - `row`: this prompt can't be answered (400, too large, filtered): the row fails, the run goes on;
 * - `transient`: 408, 409, 5xx, a reset, a time-out, a torn or empty body: try again;
 * - `throttle`: 429: wait, at no cost to the row;
 * - `parameter`: the model does not take a parameter: change it for the whole run and send again;
 * - `run`: a wrong key, an unknown model, no credit: nothing that is sent can succeed, so stop.
 */

import { isUtf8 } from 'node:buffer';
import { isObject, parseJson } from '../json.js';
import { readCompletion, type Completion } from '../annotators/completion.js';
import { readUsage, type Usage } from '../annotators/usage.js';
import { isTlsProblem, messageOf, systemErrorCode } from '../errors.js';
import { inert } from '../text.js';
import { errorObject, flagOf, parameterVerdict, type ParameterChange } from './parameters.js';
import { retryAfter, type Headers } from './limits/headers.js';

/** An HTTP answer, read to its end. */
export interface ChatResponse {
  status: number;
  headers: Headers;
  body: Buffer;
}

export type Verdict =
  | { kind: 'answer'; completion: Completion; /** The answer as one line of JSON. */ json: Buffer }
  | { kind: 'row'; message: string; filtered: boolean }
  | {
      kind: 'transient';
      message: string;
      /** No connection could be made: the network's or the server's fault, never the row's. */
      unreachable: boolean;
      overloaded: boolean;
      /** Milliseconds that the server asked to wait. */
      wait: number | null;
      /** What an unusable answer cost nevertheless. */
      usage: Usage | null;
    }
  | { kind: 'throttle'; message: string; wait: number | null }
  | { kind: 'parameter'; message: string; change: ParameterChange }
  | { kind: 'run'; message: string; cause: 'key' | 'model' | 'quota' | 'other' };

/** Codes and types of a 429 (or 402, 403) that only a payment or a higher limit ends. */
const QUOTA_CODES =
  /insufficient_quota|credit_balance_exhausted|spend_limit_exceeded|usage_limit_exceeded|billing_hard_limit_reached|billing_not_active|access_terminated|insufficient[_ ](?:balance|credits?)/i;

const UNREACHABLE_CODES = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'EMFILE',
  'ENFILE',
]);

/** The verdict on an answer that arrived. */
export function judgeResponse(response: ChatResponse): Verdict {
  const text = response.body.toString('utf8');
  const value = parseJson(text);
  const error = errorObject(value);
  if (response.status >= 200 && response.status < 300) {
    return error === null
      ? judgeSuccess(response, value)
      : judgeError(statusOf(error) ?? 500, response, error);
  }
  return judgeError(response.status, response, error ?? { message: describeBody(text) });
}

function judgeSuccess(response: ChatResponse, value: unknown): Verdict {
  if (value === undefined) return transient('the answer is not complete JSON');
  const completion = readCompletion(value);
  if (completion === null) {
    const usage = isObject(value) ? readUsage(value['usage']) : null;
    return { ...transient('the answer holds no text'), usage };
  }
  return { kind: 'answer', completion, json: oneLine(response.body, value) };
}

/** The bytes as they came where they are one line of valid UTF-8, and otherwise the same value written anew. */
function oneLine(body: Buffer, value: unknown): Buffer {
  const first = body[0];
  return first === 0x7b && !body.includes(0x0a) && isUtf8(body)
    ? body
    : Buffer.from(JSON.stringify(value), 'utf8');
}

function judgeError(status: number, response: ChatResponse, error: Record<string, unknown>): Verdict {
  const text = typeof error['message'] === 'string' ? error['message'] : '';
  const code = [error['code'], error['type']].filter((part) => typeof part === 'string').join(' ');
  const message = `${status}${code === '' ? '' : ` ${inert(code, 80)}`}: ${inert(text, 300) || 'no message'}`;
  const quota = QUOTA_CODES.test(code) || (status === 402 && !/max_tokens/i.test(text));
  if (quota) return { kind: 'run', cause: 'quota', message };
  if (status === 429) return judgeThrottle(response.headers, message, text);
  if (status === 401) return { kind: 'run', cause: 'key', message };
  if (status === 403) return judgeForbidden(message, text);
  if (status === 404) return judgeNotFound(message, code, text);
  if (status === 400 || status === 422) return judgeRefused(error, message, text, code);
  if (status >= 300 && status < 400)
    return { kind: 'run', cause: 'other', message: redirection(status, response) };
  if (status === 405) return { kind: 'run', cause: 'other', message };
  if (status === 408 || status === 409 || status === 425 || status >= 500) {
    const overloaded = status === 503 || status === 529;
    return { ...transient(message), overloaded, wait: retryAfter(response.headers) };
  }
  return { kind: 'row', message, filtered: false };
}

function judgeThrottle(headers: Headers, message: string, text: string): Verdict {
  // "Request too large for gpt-4o … Limit 30000, Requested 40123": no waiting helps.
  const sizes = /limit[: ]+([\d,]+)[^]*?requested[: ]+([\d,]+)/i.exec(text);
  const limit = Number(sizes?.[1]?.replaceAll(',', '') ?? NaN);
  const requested = Number(sizes?.[2]?.replaceAll(',', '') ?? NaN);
  const used = /used[: ]+[\d,]+/i.test(text);
  if (/request too large/i.test(text) || (requested > limit && !used)) {
    return { kind: 'row', message, filtered: false };
  }
  return { kind: 'throttle', message, wait: retryAfter(headers) };
}

function judgeForbidden(message: string, text: string): Verdict {
  // OpenRouter answers 403 where its moderation flags one prompt.
  if (/moderation|flagged/i.test(text)) return { kind: 'row', message, filtered: true };
  return { kind: 'run', cause: 'key', message };
}

function judgeNotFound(message: string, code: string, text: string): Verdict {
  const aboutModel = /model_not_found/.test(code) || /\bmodel\b/i.test(text);
  return { kind: 'run', cause: aboutModel ? 'model' : 'other', message };
}

function judgeRefused(error: Record<string, unknown>, message: string, text: string, code: string): Verdict {
  if (/content_filter|content_policy|responsible_?ai/i.test(code))
    return { kind: 'row', message, filtered: true };
  if (/model_not_found|invalid_model/.test(code)) return { kind: 'run', cause: 'model', message };
  if (/api_key_invalid|api key not valid/i.test(`${code} ${text}`))
    return { kind: 'run', cause: 'key', message };
  const verdict = parameterVerdict(error, text);
  if (verdict === null) return { kind: 'row', message, filtered: false };
  if (verdict.kind === 'change') return { kind: 'parameter', message, change: verdict.change };
  return { kind: 'run', cause: 'other', message: `${message} (see ${flagOf(verdict.parameter)})` };
}

function redirection(status: number, response: ChatResponse): string {
  const location = response.headers['location'];
  const target = typeof location === 'string' ? ` to ${inert(location, 200)}` : '';
  return `${status}: the server redirects${target}; redirects are not followed, so that the key stays where it belongs`;
}

/** Providers that answer 200 with an error put the status into its code. */
function statusOf(error: Record<string, unknown>): number | null {
  const code = Number(error['code'] ?? error['status']);
  return Number.isInteger(code) && code >= 400 && code < 600 ? code : null;
}

function describeBody(text: string): string {
  if (text.trim() === '') return 'an empty body';
  const title = /<title[^>]*>([^<]{1,200})<\/title>/i.exec(text.slice(0, 5000));
  return title?.[1] ?? inert(text.slice(0, 400), 200);
}

/** The verdict on a request that got no answer. */
export function judgeFailure(error: unknown): Verdict {
  const code = systemErrorCode(error) ?? '';
  const text = messageOf(error);
  if (isTlsProblem(error)) {
    const message = `no trusted connection (${code}: ${inert(text, 200)}); set NODE_EXTRA_CA_CERTS where a proxy has its own certificate`;
    return { kind: 'run', cause: 'other', message };
  }
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE' || code === 'ERR_BUFFER_TOO_LARGE') {
    return { kind: 'row', message: 'the answer is larger than 64 MB', filtered: false };
  }
  const unreachable = UNREACHABLE_CODES.has(code);
  return { ...transient(`no answer (${code === '' ? '' : `${code}: `}${inert(text, 200)})`), unreachable };
}

function transient(message: string): Extract<Verdict, { kind: 'transient' }> {
  return { kind: 'transient', message, unreachable: false, overloaded: false, wait: null, usage: null };
}
