/** A line of a batch input file: one request with its `custom_id`, which is the number of its row. */

import { isObject, parseJson } from '../lib/json.js';

export const REQUEST_URL = '/v1/chat/completions';
const BEFORE_ID = '{"custom_id":"';
const BEFORE_BODY = `","method":"POST","url":"${REQUEST_URL}","body":`;

/** One line, with its line end. */
export function requestLine(row: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${BEFORE_ID}${row}${BEFORE_BODY}`), body, Buffer.from('}\n')]);
}

/** The row that a line asks for or answers; null where its `custom_id` is no row's number. */
export function rowOf(line: Buffer): number | null {
  const start = line.toString('latin1', 0, 48);
  const fast = start.startsWith(BEFORE_ID) ? /^\{"custom_id":"(\d{1,15})"/.exec(start) : null;
  if (fast !== null) return Number(fast[1]);
  const value = parseJson(line.toString('utf8'));
  return isObject(value) ? rowOfId(value['custom_id']) : null;
}

/** The row that a `custom_id` stands for; null for an id that is none of ours. */
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
