/** A line of a batch input file: one request with its `custom_id`, which is the number of its row. */

import { isObject, parseJson } from '../lib/json.js';
import { readLines } from '../lib/files.js';
import { toResponsesRequest } from '../models/responses-api.js';

export const REQUEST_URL = '/v1/chat/completions';
export const RESPONSES_URL = '/v1/responses';
/** The endpoints that the lines of a file may be for; all lines of a file are for one. */
export const REQUEST_URLS = [REQUEST_URL, RESPONSES_URL] as const;
export type RequestUrl = (typeof REQUEST_URLS)[number];

const BEFORE_ID = '{"custom_id":"';
const BEFORE_BODY = `","method":"POST","url":"${REQUEST_URL}","body":`;

/**
 * One line, with its line end.
 * @param body the chat request
 * @param url the endpoint that answers it; for the Responses API it is translated
 */
export function requestLine(row: number, body: Buffer, url: RequestUrl = REQUEST_URL): Buffer {
  if (url === REQUEST_URL)
    return Buffer.concat([Buffer.from(`${BEFORE_ID}${row}${BEFORE_BODY}`), body, Buffer.from('}\n')]);
  const request = toResponsesRequest(JSON.parse(body.toString('utf8')) as Record<string, unknown>);
  const line = { custom_id: String(row), method: 'POST', url, body: request };
  return Buffer.from(`${JSON.stringify(line)}\n`, 'utf8');
}

/** The endpoint that the lines of a file are for. */
export function urlOfFile(path: string): RequestUrl {
  for (const { bytes } of readLines(path)) if (bytes.length > 0) return urlOf(bytes);
  return REQUEST_URL;
}

function urlOf(line: Buffer): RequestUrl {
  const value = parseJson(line.toString('utf8'));
  const url = isObject(value) ? value['url'] : null;
  return REQUEST_URLS.find((one) => one === url) ?? REQUEST_URL;
}

/** The row that a line asks for or answers; null where its `custom_id` is no row's number. */
export function rowOf(line: Buffer): number | null {
  const start = line.toString('latin1', 0, 48);
  const fast = start.startsWith(BEFORE_ID) ? /^\{"custom_id":"(\d{1,15})"/.exec(start) : null;
  if (fast !== null) return Number(fast[1]);
  const value = parseJson(line.toString('utf8'));
  return isObject(value) ? rowOfId(value['custom_id']) : null;
}

/** The row of a `custom_id`; null for an id that is not ours. */
export function rowOfId(id: unknown): number | null {
  return typeof id === 'string' && /^(?:0|[1-9]\d{0,14})$/.test(id) ? Number(id) : null;
}

/** The request body of a line of a batch input file; null where there is none. */
export function bodyOf(line: Buffer): Buffer | null {
  const start = line.toString('latin1', 0, 128);
  const body = start.startsWith(BEFORE_ID) ? start.indexOf(BEFORE_BODY) : -1;
  if (body !== -1) return line.subarray(body + BEFORE_BODY.length, line.length - 1);
  const value = parseJson(line.toString('utf8'));
  return isObject(value) && isObject(value['body']) ? Buffer.from(JSON.stringify(value['body'])) : null;
}

/** The same where it is a chat request; null for a line of the Responses API, whose requests have another form. */
export function chatBodyOf(line: Buffer): Buffer | null {
  const body = bodyOf(line);
  const isChat = body !== null && (line.includes(BEFORE_BODY) || urlOf(line) === REQUEST_URL);
  return isChat ? body : null;
}

/** What a request says, whichever API its line is for; null where there is no request. */
export function promptIn(body: Buffer | null): string | null {
  const value = body === null ? undefined : parseJson(body.toString('utf8'));
  if (!isObject(value)) return null;
  const { input = toResponsesRequest(value)['input'] } = value;
  return JSON.stringify(input);
}
