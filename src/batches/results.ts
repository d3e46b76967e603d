/** A line of a batch's output or error file. */

import type { Redactor } from '../secrets/redactor.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { fromResponsesAnswer } from '../models/responses-api.js';
import { isObject } from '../lib/json.js';
import { parseLooseJson } from '../lib/loose-json.js';
import { classifyResponse, orTooDeep, type Verdict } from '../requests/verdict.js';
import { sanitize } from '../lib/text.js';
import { TOO_LARGE } from './too-large.js';

export interface ResultLine {
  /** The `custom_id` as text; null where there is none. */
  id: string | null;
  /** The answer; null where the request got none. */
  response: {
    /** 0 where the request was never answered. */
    status: number;
    /** JSON, or the text of a body that was not taken apart. */
    body: unknown;
  } | null;
  /** Why there is no answer; null where nothing is said. */
  error: { code: string; message: string } | null;
}

/** Codes of a request that got no answer because it is itself at fault: it would be refused again. */
const ROWS_FAULT = new RegExp(`^(?:invalid_prompt|invalid_request(?:_error)?|${TOO_LARGE})$`);

/**
 * Reads a line; null where it is no JSON object.
 * @see https://platform.openai.com/docs/api-reference/batch/request-output
 */
export function readResultLine(line: Buffer): ResultLine | null {
  const value = parseLooseJson(line.toString('utf8').replace(/^\uFEFF/, ''));
  if (!isObject(value)) return null;
  const { custom_id: id, response, error } = value;
  return {
    id: typeof id === 'string' ? id : typeof id === 'number' ? String(id) : null,
    response: isObject(response) ? readResponse(response) : null,
    error: readError(error),
  };
}

/** vLLM's `run-batch` has a whole error answer or the bare text in its place (`entrypoints/openai/run_batch.py`). */
function readError(error: unknown): ResultLine['error'] {
  if (typeof error === 'string' && error !== '') return { code: '', message: error };
  if (!isObject(error)) return null;
  const inner = isObject(error['error']) ? error['error'] : error;
  return { code: text(inner['code']), message: text(inner['message']) };
}

function readResponse(response: Record<string, unknown>): ResultLine['response'] {
  const { status_code: code, body = null } = response;
  // Some servers leave the wrapping out.
  const found = withChoices(body === null && response['choices'] !== undefined ? response : body);
  const status = typeof code === 'string' ? Number(code) : code;
  if (typeof status === 'number' && Number.isInteger(status)) return { status, body: found };
  // A body without a status speaks for itself: an error in it is judged as such.
  return { status: isEmpty(found) ? 0 : 200, body: found };
}

/** SGLang's batches have the only choice in place of a list of one. */
function withChoices(body: unknown): unknown {
  return isObject(body) && isObject(body['choices']) ? { ...body, choices: [body['choices']] } : body;
}

function isEmpty(body: unknown): boolean {
  return body === null || body === '' || (isObject(body) && Object.keys(body).length === 0);
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/**
 * What a line means for its row: by the same rules as an answer that came online, or why there is none.
 * @param rules which answers count as whole
 * @param redactor as for `classifyResponse`
 */
export function classifyResult(
  { response, error }: ResultLine,
  rules?: AnswerRules,
  redactor?: Redactor,
): Verdict {
  // Error files hold lines with status 0 and an empty body: the request was never answered (tidyverse/ellmer#830).
  if (response === null || response.status === 0) return unanswered(error, response?.status ?? null);
  const { status } = response;
  // vLLM has the refusal beside a response without a body.
  const isRefused = isEmpty(response.body) && status >= 400 && error !== null && error.message !== '';
  const body: unknown = isRefused ? { error } : response.body;
  if (isEmpty(body)) return unanswered(error, status);
  const verdict = orTooDeep(() => {
    // A batch for `/v1/responses` holds answers of that API.
    const value = fromResponsesAnswer(body);
    const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value), 'utf8');
    const answer = { status, headers: {}, body: bytes, api: 'responses' as const };
    return classifyResponse(answer, null, rules, redactor);
  });
  // A batch can't stream: such a model takes no part in one.
  return verdict.kind === 'stream' ? rowsFault(verdict.message, false) : verdict;
}

function unanswered(error: ResultLine['error'], status: number | null): Verdict {
  const message = describe(error, status);
  if (error !== null && ROWS_FAULT.test(error.code)) {
    return rowsFault(message, error.code === 'invalid_prompt');
  }
  return { kind: 'transient', message, unreachable: false, overloaded: false, wait: null, usage: null };
}

function rowsFault(message: string, filtered: boolean): Verdict {
  return { kind: 'row', message, filtered, explained: true, room: null };
}

function describe(error: ResultLine['error'], status: number | null): string {
  if (error !== null && (error.code !== '' || error.message !== '')) {
    return [error.code, error.message]
      .filter((part) => part !== '')
      .map((part) => sanitize(part, 200))
      .join(': ');
  }
  return `no answer${status === null ? '' : ` (status ${status}, empty body)`}`;
}
