/** Original answers, in the forms in which datasets hold them. */

import { isObject, parseJson } from '../lib/json.js';
import type { PromptRow } from '../types.js';
import { cell, originalAnswer, scalarText } from './cells.js';
import { answerAmong, NO_CHOICES, type RowChoices } from './choices.js';
import type { Row } from './format.js';
import { RowProblem } from './row-problem.js';
import { toolCall, type FoundCall } from './tool-calls.js';
import { isChat, isTurn, readTurns, turnsOfText, type Turn } from './turns.js';

/** An original answer: text, calls of tools, or both; null and none where there is none. */
export interface OriginalAnswer {
  content: string | null;
  calls: readonly FoundCall[];
}

const NO_ANSWER: OriginalAnswer = { content: null, calls: [] };

/**
 * The original answer of a column: text, the last answer of a chat, the best of several, or JSON text of other values.
 * @param choices of the row: an answer is one of them, and several belong together
 */
export function answerOf(row: Row, column: string | null, choices: RowChoices = NO_CHOICES): OriginalAnswer {
  if (column === null) return NO_ANSWER;
  const value = cell(row, column);
  if (isTurn(value) || isListOfTurns(value)) return lastAnswer(value, column);
  return { content: textAnswer(row, column, value, choices), calls: [] };
}

function textAnswer(row: Row, column: string, value: unknown, choices: RowChoices): string | null {
  const several = listOf(value, column);
  if (several?.length === 0) return null;
  const isChoice = choices.text !== '';
  const chosen = several === null ? null : isChoice ? joined(several, choices, column) : bestOf(several);
  if (chosen !== null) return chosen;
  const original = originalAnswer(row, column);
  if (isChoice && original !== null && scalarText(value) !== null) return answerAmong(choices, value, column);
  if (isObject(value)) {
    const spans = SPAN_KEYS.map((key) => value[key]).find((one) => Array.isArray(one));
    if (spans !== undefined) return typeof spans[0] === 'string' ? spans[0] : null;
    const text = textOf(value);
    if (text !== null) return text;
  }
  return original;
}

/** A preferred answer, which is never JSON: anything but text cannot be compared with a new answer. */
export function preferredAnswer(row: Row, column: string, dialogue: readonly Turn[] | null): OriginalAnswer {
  if (dialogue !== null) return lastOf(dialogue);
  const value = cell(row, column);
  const isText = !isObject(value) && !Array.isArray(value);
  return isText ? { content: originalAnswer(row, column), calls: [] } : NO_ANSWER;
}

/** The turns of a preferred answer; null where it is plain text, or nothing that is known. */
export function dialogueOf(row: Row, column: string): Turn[] | null {
  const value = cell(row, column);
  const parsed = typeof value === 'string' && /^\s*[[{]/.test(value) ? parseJson(value) : undefined;
  const found = parsed ?? value;
  if (isTurn(found)) return readTurns([found], column);
  if (isChat(found)) return readTurns(found, column);
  return typeof value === 'string' ? turnsOfText(value) : null;
}

/** The row with an original answer; calls without an id are numbered after those of its request. */
export function answered(row: PromptRow, { content, calls }: OriginalAnswer): PromptRow {
  if (calls.length === 0) return { ...row, annotation_original: content };
  const before = (row.messages ?? []).reduce((sum, { tool_calls: made = [] }) => sum + made.length, 0);
  return {
    ...row,
    annotation_original: content === '' ? null : content,
    annotation_original_tool_calls: calls.map((call, place) => toolCall(call, `call_${before + place + 1}`)),
  };
}

/** Candidates are objects, too, but have no roles. */
function isListOfTurns(value: unknown): boolean {
  return isChat(value) && (!Array.isArray(value) || value.every(isTurn));
}

function lastAnswer(value: unknown, column: string): OriginalAnswer {
  try {
    return lastOf(readTurns(isTurn(value) ? [value] : value, column));
  } catch (error) {
    if (error instanceof RowProblem) return NO_ANSWER;
    throw error;
  }
}

function lastOf(turns: readonly Turn[]): OriginalAnswer {
  const last = turns.findLast(({ role }) => role === 'assistant');
  return last === undefined ? NO_ANSWER : { content: last.content, calls: last.calls ?? [] };
}

/** Lists inside an object: SQuAD's `{text, answer_start}`, DROP's `{spans, types}`, CoQA's `{input_text, …}`. */
const SPAN_KEYS = ['text', 'spans', 'input_text'];
/** Where a candidate has its text. */
const TEXT_KEYS = ['answer', 'text', 'response', 'content', 'value', 'output', 'completion', 'body'];
/** Where it says how good it is. */
const SCORE_KEYS = ['overall_score', 'score', 'pm_score', 'rating', 'votes', 'upvotes'];

/** A cell with several answers; columns named in the plural may hold them as JSON text (APPS). */
function listOf(value: unknown, column: string): unknown[] | null {
  const isJson = typeof value === 'string' && /s$/i.test(column) && /^\s*\[/.test(value);
  const list = isJson ? parseJson(value) : value;
  return Array.isArray(list) ? (list as unknown[]) : null;
}

/** `A, C`; null for what is not text. */
function joined(several: readonly unknown[], choices: RowChoices, column: string): string | null {
  const texts = several.map((one) => answerAmong(choices, one, column));
  return texts.every((text) => text !== null) ? texts.join(', ') : null;
}

/** The first of several texts; of rated candidates the best; null for a list of anything else. */
function bestOf(several: readonly unknown[]): string | null {
  if (several.every((one) => typeof one === 'string')) return several[0] ?? null;
  const candidates = several.filter(isObject);
  if (candidates.length < several.length || candidates.some((one) => textOf(one) === null)) return null;
  const [best] = candidates.toSorted((a, b) => standing(b) - standing(a));
  return best === undefined ? null : textOf(best);
}

function textOf(candidate: Row): string | null {
  const text = TEXT_KEYS.map((key) => cell(candidate, key)).find((one) => typeof one === 'string');
  return typeof text === 'string' ? text : null;
}

/** Larger is better: chosen by people (`selected`), ranked from 0 or 1, or scored. */
function standing(candidate: Row): number {
  if (cell(candidate, 'selected') === true) return Infinity;
  const rank = numberOf(cell(candidate, 'rank'));
  if (rank !== null) return -rank;
  return SCORE_KEYS.map((key) => numberOf(cell(candidate, key))).find((one) => one !== null) ?? 0;
}

function numberOf(value: unknown): number | null {
  const text = scalarText(value);
  const number = text === null || text.trim() === '' ? NaN : Number(text);
  return Number.isFinite(number) ? number : null;
}
