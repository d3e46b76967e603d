/** A line of a batch's output or error file. */

import { isObject, parseJson } from '../json.js';
import { judgeResponse, type Verdict } from '../requests/verdict.js';
import { inert } from '../text.js';

export interface ResultLine {
  /** The `custom_id` as it came; null where there is none. */
  id: unknown;
  /** The answer; null where the request got none. */
  response: { status: number; body: unknown } | null;
  /** Why there is no answer; null where nothing is said. */
  error: { code: string; message: string } | null;
}

/**
 * Reads a line; null where it is no JSON object.
 * @see https://platform.openai.com/docs/api-reference/batch/request-output
 */
export function readResultLine(line: Buffer): ResultLine | null {
  const value = parseJson(line.toString('utf8'));
  if (!isObject(value)) return null;
  const { response, error } = value;
  return {
    id: value['custom_id'],
    response: isObject(response)
      ? {
          status: typeof response['status_code'] === 'number' ? response['status_code'] : 0,
          body: response['body'],
        }
      : null,
    error: isObject(error) ? { code: text(error['code']), message: text(error['message']) } : null,
  };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** What a line means for its row: by the same rules as an answer that came online, or why there is none. */
export function judgeResult({ response, error }: ResultLine): Verdict {
  // Error files hold lines with status 0 and an empty body: the request was never answered (tidyverse/ellmer#830).
  if (response === null || response.status === 0 || !isObject(response.body)) {
    return unanswered(describe(error, response?.status ?? null));
  }
  return judgeResponse({
    status: response.status,
    headers: {},
    body: Buffer.from(JSON.stringify(response.body), 'utf8'),
  });
}

function describe(error: ResultLine['error'], status: number | null): string {
  if (error !== null && (error.code !== '' || error.message !== '')) {
    return [error.code, error.message]
      .filter((part) => part !== '')
      .map((part) => inert(part, 200))
      .join(': ');
  }
  return `no answer${status === null ? '' : ` (status ${status}, empty body)`}`;
}

function unanswered(message: string): Verdict {
  return { kind: 'transient', message, unreachable: false, overloaded: false, wait: null, usage: null };
}
