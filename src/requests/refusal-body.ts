/**
 * Reads an error body in whatever shape a server gives it: OpenAI's `error` object, a text in its place, an array
 * around it, FastAPI's `detail`, AWS's `message`, problem details (RFC 9457), nested errors of gateways. What it says
 * is bounded here, before any pattern is tried on it.
 */

import { isObject, parseJson } from '../lib/json.js';
import { sanitize } from '../lib/text.js';
import { withoutEcho } from './echo.js';
import { retryAfter, type Headers } from '../http/limit-headers.js';
import { parseDuration } from '../http/waits.js';

/** Characters of an error's text that are read; what matters is at its beginning. */
const LONGEST_TEXT = 4000;
const LONGEST_CODES = 400;
/** Bodies beyond this many characters are not parsed: only their beginning is read. */
const LONGEST_BODY = 2_000_000;
const DEEPEST = 6;
const MOST_VALUES = 200;

/** What a server said when it refused a request. */
export interface Refusal {
  status: number;
  /** All codes, types and reasons, separated by spaces. */
  codes: string;
  /** All messages, separated by spaces, without what they repeat of the prompt. */
  text: string;
  /** The same for people, with everything in it. */
  shown: string;
  /** The texts of the request that was refused; empty where they are not known. */
  prompt: string;
  /** What the fields for it name as the part of the request that is at fault, such as `top_p` or `messages[0]`. */
  named: string[];
  /** True where fields that only a content filter sends say that the prompt was flagged, whatever the message is. */
  flagged: boolean;
  /** Milliseconds that the body asks to wait; null where it asks for none. */
  wait: number | null;
  headers: Headers;
}

/** Fields that hold a message, or something that holds one. */
const MESSAGES = new Set([
  'message',
  'Message',
  'msg',
  'error',
  'errors',
  'err',
  'error_msg',
  'errmsg',
  'error_message',
  'errorMessage',
  'error_description',
  'status_msg',
  'statusMessage',
  'detail',
  'details',
  'title',
  'description',
  'faultstring',
  'exception',
  // Upstream errors inside those of gateways: OpenRouter, Azure, Apigee, MiniMax.
  'metadata',
  'raw',
  'innererror',
  'fault',
  'base_resp',
  // google.rpc.QuotaFailure and google.rpc.BadRequest.
  'violations',
  'fieldViolations',
  // Zod, in servers of JavaScript.
  'issues',
]);
/** Further fields of that kind: `external_model_error` (Databricks), `providerError`. */
const INNER_ERROR = /errors?$/i;
const CODES = new Set([
  'code',
  'Code',
  'type',
  '__type',
  'status',
  'reason',
  'reasons',
  'error_code',
  'errorCode',
  'errcode',
  'error_type',
  'status_code',
  'quotaId',
]);
/** A message that is a code: one word of several parts, such as `insufficient_credits` or `local:insufficient_quota`. */
const CODE_AS_MESSAGE = /^[A-Za-z]{1,40}(?:[_.:-][A-Za-z]{1,40}){1,6}$/;
const NAMES = new Set(['param', 'parameter', 'field', 'argument', 'loc']);
/** Fields that say how long to wait, and the milliseconds of their unit. */
const WAITS: Readonly<Record<string, number>> = {
  // google.rpc.RetryInfo: `34.4s`
  retryDelay: 1000,
  retry_after: 1000,
  retryAfter: 1000,
  retry_after_seconds: 1000,
  retryAfterSeconds: 1000,
  retry_after_ms: 1,
  retryAfterMs: 1,
  // Hugging Face, while it loads a model
  estimated_time: 1000,
};

/** The answer to a request that was refused. */
export interface RefusedAnswer {
  status: number;
  /** Its body, or the part of it that is an error, as parsed JSON; undefined where it is not JSON. */
  value: unknown;
  /** The body as text. */
  raw: string;
  headers: Headers;
  /** The texts of the request; what the answer repeats of them is ignored. */
  prompt?: string;
}

/** Reads the answer to a request that was refused. */
export function readRefusal({ status, value, raw, headers, prompt = '' }: RefusedAnswer): Refusal {
  const collector = new Collector(prompt);
  if (value !== undefined) collector.visit(value, 0);
  if (!collector.hasText) collector.addText(value === undefined ? describeText(raw) : '');
  // Bedrock gives the kind of an error in a header alone.
  const kind = headers['x-amzn-errortype'];
  if (typeof kind === 'string') collector.addCode(kind.slice(0, 100));
  return { status, ...collector.result(), prompt, headers };
}

/** The value of a body; undefined where it is not JSON or too large to be an error's. */
export function parseError(raw: string): unknown {
  return raw.length > LONGEST_BODY ? undefined : parseJson(raw);
}

class Collector {
  #codes: string[] = [];
  #texts: string[] = [];
  #characters = 0;
  #values = 0;
  readonly #named: string[] = [];
  #flagged = false;
  #wait: number | null = null;

  constructor(private readonly prompt: string) {}

  get hasText(): boolean {
    return this.#texts.length > 0;
  }

  result(): Pick<Refusal, 'codes' | 'text' | 'shown' | 'named' | 'flagged' | 'wait'> {
    const shown = this.#texts.join(' ').slice(0, LONGEST_TEXT);
    const text = withoutEcho(shown, this.prompt);
    return {
      codes: [...new Set(this.#codes)].join(' ').slice(0, LONGEST_CODES),
      text,
      shown,
      named: this.#named,
      flagged: this.#flagged,
      wait: this.#wait ?? waitIn(text),
    };
  }

  addText(text: string): void {
    if (text === '' || this.#characters >= LONGEST_TEXT) return;
    const bounded = text.slice(0, LONGEST_TEXT);
    // Several fields often say the same.
    if (this.#texts.includes(bounded)) return;
    this.#texts.push(bounded);
    this.#characters += bounded.length;
    // `{"error": "insufficient_credits"}`
    if (CODE_AS_MESSAGE.test(bounded)) this.addCode(bounded);
  }

  addCode(code: string): void {
    if (code !== '' && this.#codes.length < 20) this.#codes.push(code.slice(0, 100));
  }

  visit(value: unknown, depth: number): void {
    if (depth > DEEPEST || this.#values++ > MOST_VALUES) return;
    if (typeof value === 'string') this.#visitText(value, depth);
    else if (Array.isArray(value)) for (const one of value.slice(0, 20)) this.visit(one, depth + 1);
    else if (isObject(value)) {
      for (const key in value) this.#visitField(key, value[key], depth + 1);
    }
  }

  /** A text may be the JSON of another server's error, unless it is the prompt's. */
  #visitText(text: string, depth: number): void {
    const isJson = /^\s*[[{]/.test(text) && !this.prompt.includes(text.trim());
    const inner = isJson ? parseError(text) : undefined;
    if (inner === undefined) this.addText(text);
    else this.visit(inner, depth + 1);
  }

  #visitField(key: string, value: unknown, depth: number): void {
    if (isFlag(key, value)) this.#flagged = true;
    if (CODES.has(key)) this.#visitCode(value, depth);
    else if (NAMES.has(key)) this.#visitName(value);
    else if (key === 'keys' && Array.isArray(value))
      for (const one of value.slice(0, 20)) this.#visitName(one);
    else if (key === 'errors' && isObject(value)) this.#visitErrors(value, depth);
    else if (key === 'headers' && isObject(value)) this.#visitHeaders(value);
    else if (MESSAGES.has(key) || INNER_ERROR.test(key)) this.visit(value, depth);
    else if (Object.hasOwn(WAITS, key)) this.#wait ??= readWait(value, WAITS[key] ?? 0);
  }

  /** The fields that are at fault, each with what is wrong with it: ASP.NET, Laravel, Rails. */
  #visitErrors(errors: Record<string, unknown>, depth: number): void {
    for (const key in errors) {
      if (MESSAGES.has(key) || CODES.has(key) || NAMES.has(key)) this.#visitField(key, errors[key], depth);
      else {
        this.#visitName(key);
        this.visit(errors[key], depth);
      }
    }
  }

  /** OpenRouter puts the headers of its limits into `metadata.headers`. */
  #visitHeaders(headers: Record<string, unknown>): void {
    const texts = Object.entries(headers)
      .slice(0, 50)
      .flatMap(([name, value]): [string, string][] =>
        typeof value === 'string' || typeof value === 'number' ? [[name.toLowerCase(), String(value)]] : [],
      );
    this.#wait ??= retryAfter(Object.fromEntries(texts));
  }

  #visitCode(value: unknown, depth: number): void {
    if (typeof value === 'string') this.addCode(value);
    else if (typeof value === 'number') this.addCode(String(value));
    else if (Array.isArray(value)) for (const one of value.slice(0, 5)) this.#visitCode(one, depth + 1);
    else this.visit(value, depth);
  }

  #visitName(value: unknown): void {
    const last: unknown = Array.isArray(value)
      ? value.findLast((one) => typeof one === 'string' && one !== '__root__')
      : value;
    if (typeof last === 'string' && last !== '' && last.length <= 100 && this.#named.length < 20)
      this.#named.push(last);
  }
}

/**
 * True for a field in which a content filter says that it flagged the prompt:
 * - `metadata.flagged_input`, `metadata.reasons`: OpenRouter, ModerationErrorMetadata in docs/api/reference/errors;
 * - `content_filter_result` with a category that is `filtered`: Azure OpenAI, how-to/content-filter.
 */
function isFlag(key: string, value: unknown): boolean {
  if (key === 'flagged_input') return typeof value === 'string' && value !== '';
  // Elsewhere, `reasons` may be those of anything.
  if (key === 'metadata') return isObject(value) && isListOfTexts(value['reasons']);
  return (key === 'content_filter_result' || key === 'content_filter_results') && hasFiltered(value);
}

function isListOfTexts(value: unknown): boolean {
  return (
    Array.isArray(value) && value.length > 0 && value.slice(0, 20).every((one) => typeof one === 'string')
  );
}

function hasFiltered(value: unknown): boolean {
  if (!isObject(value)) return false;
  return Object.values(value)
    .slice(0, MOST_VALUES)
    .some((category) => isObject(category) && category['filtered'] === true);
}

/** @param unit the milliseconds of a plain number's unit */
function readWait(value: unknown, unit: number): number | null {
  const number = typeof value === 'string' && /^\d{1,9}(?:\.\d{1,9})?$/.test(value) ? Number(value) : value;
  if (typeof number === 'number') return number >= 0 && Number.isFinite(number) ? number * unit : null;
  return typeof value === 'string' ? parseDuration(value) : null;
}

/** Milliseconds that a text asks to wait: `try again in 1m26.4s`, `Please retry after 6 seconds`. */
function waitIn(text: string): number | null {
  const compact = /(?:try again|retry|wait)\D{0,20}?((?:\d{1,9}(?:\.\d{1,12})?(?:ms|s|m|h|d)){1,5})\b/i.exec(
    text,
  );
  if (compact !== null) return parseDuration(compact[1] ?? null);
  const spoken =
    /(?:try again|retry|wait)\D{0,20}?(\d{1,9}(?:\.\d{1,12})?) ?(millisecond|second|sec|minute|min|hour)/i.exec(
      text,
    );
  const units: Record<string, number> = {
    millisecond: 1,
    sec: 1000,
    second: 1000,
    min: 60_000,
    minute: 60_000,
    hour: 3_600_000,
  };
  return spoken === null ? null : Number(spoken[1]) * (units[spoken[2]?.toLowerCase() ?? ''] ?? 0);
}

/** What a body that is not JSON says: the title, heading or text of a page, or its beginning. */
function describeText(raw: string): string {
  const start = raw.slice(0, LONGEST_TEXT);
  if (start.trim() === '') return 'an empty body';
  return /<[a-z!][^>]{0,200}>/i.test(start) ? describePage(start) : start;
}

/** nginx and Cloudflare give their pages a title, HAProxy and Envoy only a heading, some proxies neither. */
function describePage(page: string): string {
  const title = /<title[^>]{0,100}>([^<]{1,200})<\/title>/i.exec(page)?.[1]?.trim() ?? '';
  const heading = /<h[1-3][^>]{0,100}>([^<]{1,200})<\/h[1-3]>/i.exec(page)?.[1]?.trim() ?? '';
  if (title !== '' || heading !== '') return title === '' ? heading : title;
  const text = page
    .replace(/<(?:style|script)\b[^>]{0,200}>[^<]{0,4000}/gi, ' ')
    .replace(/<[^>]{0,500}>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return text === '' ? 'a page without text' : text;
}

/** The one line that people read: status, codes and text. */
export function describeRefusal({ status, codes, shown, named }: Refusal): string {
  const words = codes
    .split(' ')
    .filter((code) => code !== String(status) && /[a-z]|^\d{4,}$/i.test(code))
    .join(' ');
  const unsaid = named.filter((name) => !shown.includes(name)).join(', ');
  const about = unsaid === '' ? '' : ` (${sanitize(unsaid, 100)})`;
  return `${status}${words === '' ? '' : ` ${sanitize(words, 80)}`}: ${sanitize(shown, 300) || 'no message'}${about}`;
}
