/**
 * Whether a line of the journal answers the row that its end names. A flipped bit in that number, or lines of another
 * run, would give a row another row's answer; the prompt that was sent shows it.
 */

import { matchesAt } from '../lib/bytes.js';
import { isObject, parseJson } from '../lib/json.js';
import { noteDiscarded } from '../lib/memory.js';
import { IMAGE_MARK, type ChatMessage, type PromptRow } from '../types.js';

/** How the last turn of a request begins and ends, as `JSON.stringify` writes it. */
const USER_TURN = Buffer.from('{"role":"user","content":');
const TURNS_END = Buffer.from('}]');
/** What comes before and after the prompt in rows of `rows.jsonl`; inside a text the quotes would be escaped. */
const USER_PROMPT = Buffer.from(',"user_prompt":');
const AFTER_PROMPT = Buffer.from(',"annotation_original":');
const EMPTY_SYSTEM = Buffer.from('{"system_prompt":"","user_prompt":');

/** From a line's start to the prompt's opening quote: nearly always the same throughout a run. */
let usualStart = 0;

/**
 * Looks for a row's prompt in the request of a journal's line, without parsing.
 * @param line a buffer that holds the journal's line from `lineStart` to `lineEnd`
 * @param rows a buffer that holds the line of `rows.jsonl` of a usable row from `rowStart` to `rowEnd`
 * @returns where the prompt ends in `line`; -1 where `asksRow` has to look
 */
export function findPromptEnd(
  line: Buffer,
  lineStart: number,
  lineEnd: number,
  rows: Buffer,
  rowStart: number,
  rowEnd: number,
): number {
  const promptStart = startOfPrompt(rows, rowStart, rowEnd);
  const promptEnd = promptStart === -1 ? -1 : rows.indexOf(AFTER_PROMPT, promptStart);
  if (promptEnd === -1 || promptEnd >= rowEnd) return -1;
  let at = lineStart + usualStart;
  if (!isPromptAt(line, at, lineEnd, rows, promptStart, promptEnd)) {
    const found = line.subarray(lineStart, lineEnd).indexOf(rows.subarray(promptStart, promptEnd));
    at = lineStart + found;
    if (found === -1 || !isPromptAt(line, at, lineEnd, rows, promptStart, promptEnd)) return -1;
    usualStart = found;
  }
  return at + promptEnd - promptStart;
}

/** True where an answer's text belongs to the request that ends before it: no other request is between them. */
export function isAnsweredBy(line: Buffer, promptEnd: number, textStart: number): boolean {
  return !line.subarray(promptEnd, textStart).includes(USER_TURN);
}

function startOfPrompt(rows: Buffer, start: number, end: number): number {
  if (matchesAt(rows, EMPTY_SYSTEM, start)) return start + EMPTY_SYSTEM.length;
  const at = rows.indexOf(USER_PROMPT, start);
  return at === -1 || at >= end ? -1 : at + USER_PROMPT.length;
}

function isPromptAt(
  line: Buffer,
  at: number,
  lineEnd: number,
  rows: Buffer,
  promptStart: number,
  promptEnd: number,
): boolean {
  const end = at + promptEnd - promptStart;
  return (
    end + TURNS_END.length <= lineEnd &&
    matchesAt(line, TURNS_END, end) &&
    matchesAt(line, USER_TURN, at - USER_TURN.length) &&
    line.compare(rows, promptStart, promptEnd, at, end) === 0
  );
}

/**
 * Whether the request of a journal's line has the prompt of a row, whatever program wrote it.
 * @param line a whole line of the journal
 * @param row the line of `rows.jsonl` of a usable row
 */
export function asksRow(line: Buffer, row: Buffer): boolean {
  const { user_prompt: prompt } = JSON.parse(row.toString('utf8')) as PromptRow;
  const last = turnsIn(line).findLast((turn) => isObject(turn) && turn['role'] === 'user');
  return textOfTurn(last).toWellFormed() === prompt;
}

/** Whether the request of a journal's line says exactly this, turn by turn. */
export function asksWith(line: Buffer, messages: readonly ChatMessage[]): boolean {
  const turns = turnsIn(line);
  return (
    turns.length === messages.length &&
    turns.every((turn, place) => textOfTurn(turn) === (messages[place]?.content ?? ''))
  );
}

function turnsIn(line: Buffer): unknown[] {
  const entry = parseJson(line.toString('utf8'));
  noteDiscarded(line.length * 3);
  const request: unknown = Array.isArray(entry) ? entry[0] : null;
  const messages = isObject(request) ? request['messages'] : null;
  return Array.isArray(messages) ? messages : [];
}

function textOfTurn(turn: unknown): string {
  return textOfContent(isObject(turn) ? turn['content'] : null);
}

/** A turn's text, with marks in place of images. */
function textOfContent(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part: unknown) => (isObject(part) && typeof part['text'] === 'string' ? part['text'] : IMAGE_MARK))
    .join('');
}
