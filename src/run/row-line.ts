/**
 * A usable row as a line of `rows.jsonl`. A prompt with its original answer looks as it will in `reannotated.json`; a chat
 * has its `messages` behind them. What has more (tools, calls, kept columns) ends with `"_row":[keys,bytes]`: which of
 * `ROW_KEYS` it has, and how many bytes of the line are the row of the results, so that these can be copied unparsed.
 */

import { isObject } from '../lib/json.js';
import type { ChatMessage, PromptRow } from '../types.js';

/** Keys of results that only some datasets have, in their order. A row's set is the sum of their numbers. */
export const ROW_KEYS = [
  { name: 'request_messages', number: 1, group: 'chats' },
  { name: 'tools', number: 2, group: 'tools' },
  { name: 'annotation_original_tool_calls', number: 4, group: 'tools' },
  { name: 'images', number: 16, group: 'images' },
  { name: 'source', number: 8, group: 'source' },
] as const;
/** Keys that a file of results has together. */
export type KeyGroup = (typeof ROW_KEYS)[number]['group'];

const MESSAGES = Buffer.from(',"messages":');
const REQUEST_MESSAGES = Buffer.from(',"request_messages":');
const MARK = /,"_row":\[(\d{1,3}),(\d{1,12})\]\}$/;
const LONGEST_MARK = 32;
const CLOSING_BRACKET = 0x5d;

/** The line of a row, without its line break. */
export function rowLine(row: PromptRow): string {
  const { tools, annotation_original_tool_calls: calls, source, messages, images } = row;
  const { system_prompt, user_prompt, annotation_original } = row;
  const basis = { system_prompt, user_prompt, annotation_original };
  if (tools === undefined && calls === undefined && source === undefined && images === undefined) {
    return JSON.stringify(messages === undefined ? basis : { ...basis, messages });
  }
  const values: Partial<Record<(typeof ROW_KEYS)[number]['name'], string>> = {};
  if (messages !== undefined) values.request_messages = JSON.stringify(messages);
  // Definitions differ from tool to tool, and a table has one type for all of them: only their text does.
  if (tools !== undefined) values.tools = JSON.stringify(JSON.stringify(tools));
  if (calls !== undefined) values.annotation_original_tool_calls = JSON.stringify(calls);
  if (images !== undefined) values.images = JSON.stringify(images.map(({ reference }) => reference));
  if (source !== undefined) values.source = source;
  let line = JSON.stringify(basis).slice(0, -1);
  let keys = 0;
  for (const { name, number } of ROW_KEYS) {
    if (values[name] === undefined) continue;
    line += `,"${name}":${values[name]}`;
    keys += number;
  }
  const bytes = Buffer.byteLength(line);
  // Results hold references; what is sent may be megabytes.
  if (images !== undefined) line += `,"_images":${JSON.stringify(images.map(({ url }) => url))}`;
  return `${line},"_row":[${keys},${bytes}]}`;
}

/** How much of a line is the row of the results, and which of `ROW_KEYS` it has. */
export interface RowMark {
  keys: number;
  /** Up to what would be the closing brace. */
  bytes: number;
}

/** The mark at the end of a line that has more than a prompt, an answer and a chat; null for other lines. */
export function rowMark(block: Buffer, start: number, end: number): RowMark | null {
  if (block[end - 2] !== CLOSING_BRACKET) return null;
  const match = MARK.exec(block.toString('latin1', Math.max(start, end - LONGEST_MARK), end));
  return match === null ? null : { keys: Number(match[1]), bytes: Number(match[2]) };
}

/** The row of a line that `rowLine` wrote, as far as its request needs it. */
export function parseRow(line: Buffer): PromptRow {
  const value = JSON.parse(line.toString('utf8')) as Omit<PromptRow, 'tools' | 'images'> & {
    request_messages?: PromptRow['messages'];
    tools?: unknown;
    _row?: unknown;
    _images?: string[];
    images?: unknown;
  };
  if (value._row === undefined) return value as PromptRow;
  const { system_prompt, user_prompt, annotation_original, request_messages: messages } = value;
  const calls = value.annotation_original_tool_calls;
  return {
    ...{ system_prompt, user_prompt, annotation_original },
    ...(messages === undefined ? {} : { messages }),
    ...(typeof value.tools === 'string' ? { tools: parseTools(value.tools) } : {}),
    ...(calls === undefined ? {} : { annotation_original_tool_calls: calls }),
    ...(value._images === undefined ? {} : { images: value._images.map((url) => ({ reference: '', url })) }),
  };
}

/**
 * The line of a chat with another request.
 * @param line one that `rowLine` wrote for a chat
 */
export function withMessages(line: Buffer, messages: readonly ChatMessage[]): Buffer {
  const mark = rowMark(line, 0, line.length);
  const key = mark === null ? MESSAGES : REQUEST_MESSAGES;
  const value = JSON.parse(line.toString('utf8')) as { messages?: unknown; request_messages?: unknown };
  // Inside a text the key's quotes would be escaped.
  const start = line.indexOf(key) + key.length;
  const before = Buffer.byteLength(JSON.stringify(value.messages ?? value.request_messages));
  const now = Buffer.from(JSON.stringify(messages));
  if (mark === null) return Buffer.concat([line.subarray(0, start), now, line.subarray(start + before)]);
  const end = line.length - `,"_row":[${mark.keys},${mark.bytes}]}`.length;
  const added = now.length - before;
  return Buffer.concat([
    line.subarray(0, start),
    now,
    line.subarray(start + before, end),
    Buffer.from(`,"_row":[${mark.keys},${mark.bytes + added}]}`),
  ]);
}

function parseTools(text: string): object[] {
  const tools: unknown = JSON.parse(text);
  return Array.isArray(tools) ? tools.filter(isObject) : [];
}
