/** A row of results as the reader shows it: texts are cut to what a page can hold. */

import type { ResultRow } from '../exports/rows.js';
import { isObject, parseJson } from '../lib/json.js';
import type { ChatMessage, RowState, ToolCall } from '../types.js';
import type { RowFigures, ShownRow, Turn } from './data.js';
import type { FlagName } from './flags.js';
import type { RowVerdict } from './judgements.js';

/** Characters of a text that the reader shows, of one of the other answers or turns, and of a column's value. */
const LONGEST_SHOWN = 12_000;
const LONGEST_OTHER = 4000;
const LONGEST_VALUE = 300;
const MOST_TURNS = 40;
const MOST_OTHERS = 16;
const MOST_COLUMNS = 30;
const MOST_IMAGES = 20;

/** What is known of a row besides its results. */
export interface RowFacts {
  row: ResultRow;
  state: RowState;
  error: string | null;
  /** Null where nothing is known yet. */
  figures: RowFigures | null;
}

/** What was found out about it. */
export interface RowFindings {
  number: number;
  flags: FlagName[];
  change: number | null;
  verdict: RowVerdict | null;
}

export function shownRow(
  { row, state, error, figures }: RowFacts,
  { number, flags, change, verdict }: RowFindings,
): ShownRow {
  const { annotation_original: old, annotation, reasoning = null, annotations = [] } = row;
  const others = annotations.filter((one): one is string => one !== null && one !== annotation);
  return {
    row: number,
    state,
    system: cut(row.system_prompt),
    prompt: cut(row.user_prompt ?? ''),
    turns: earlierTurns(row),
    tools: typeof row.tools === 'string' ? indented(row.tools) : null,
    images: (row.images ?? []).slice(0, MOST_IMAGES).map((image) => cut(image, LONGEST_VALUE)),
    source: sourceOf(row.source),
    old: old === null ? null : cut(old),
    new: annotation === null ? null : cut(annotation),
    oldCalls: callsText(row.annotation_original_tool_calls),
    newCalls: callsText(row.annotation_tool_calls),
    others: others.slice(0, MOST_OTHERS).map((one) => cut(one, LONGEST_OTHER)),
    reasoning: reasoning === null ? null : cut(reasoning),
    lengths: {
      prompt: row.user_prompt?.length ?? 0,
      old: old?.length ?? 0,
      new: annotation?.length ?? 0,
      reasoning: reasoning?.length ?? 0,
    },
    flags,
    change: change === null ? null : Math.round(change * 1000) / 1000,
    error,
    verdict,
    figures,
  };
}

/** Bytes that a row takes in the page, at least. */
export function sizeOfRow(row: ShownRow): number {
  const { system, prompt, old, new: answer, error, reasoning, tools, oldCalls, newCalls, verdict } = row;
  const texts = [
    ...[system, prompt, old, answer, error, reasoning, tools, oldCalls, newCalls, verdict?.reason],
    ...row.others,
    ...row.images,
    ...row.turns.map(({ text }) => text),
    ...Object.entries(row.source).flat(),
  ];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text ?? '') + 4, 400);
}

/** The request's turns without the system prompt and the last question, which have places of their own. */
function earlierTurns({
  request_messages: messages,
  system_prompt: system,
  user_prompt: prompt,
}: ResultRow): Turn[] {
  if (!Array.isArray(messages)) return [];
  const first = messages[0]?.role === 'system' && messages[0].content === system ? 1 : 0;
  const last = messages.findLastIndex(({ role, content }) => role === 'user' && content === prompt);
  // What follows the last question, such as the result of a tool, is shown as well.
  const shown = messages.filter((_, place) => place >= first && place !== last);
  const kept = shown.length > MOST_TURNS ? shown.slice(-MOST_TURNS) : shown;
  return kept.map((message) => {
    const text = turnText(message);
    return { role: message.role, text: cut(text, LONGEST_OTHER), length: text.length };
  });
}

function turnText({ content, tool_calls: calls }: ChatMessage): string {
  const called = callsText(calls);
  return [content ?? '', called ?? ''].filter((part) => part !== '').join('\n\n');
}

/** `name(arguments)` for each call; null where there are none. */
function callsText(calls: readonly ToolCall[] | null | undefined): string | null {
  if (!Array.isArray(calls) || calls.length === 0) return null;
  const lines = (calls as unknown[]).map((call) => {
    const called = isObject(call) && isObject(call['function']) ? call['function'] : null;
    return called === null
      ? JSON.stringify(call)
      : `${String(called['name'])}(${String(called['arguments'])})`;
  });
  return cut(lines.join('\n'));
}

function sourceOf(source: unknown): Record<string, string> {
  if (!isObject(source)) return {};
  const values = Object.entries(source)
    .slice(0, MOST_COLUMNS)
    .map(([name, value]) => [
      cut(name, LONGEST_VALUE),
      cut(typeof value === 'string' ? value : JSON.stringify(value), LONGEST_VALUE),
    ]);
  return Object.fromEntries(values) as Record<string, string>;
}

function indented(json: string): string {
  const value = parseJson(json);
  return cut(value === undefined ? json : JSON.stringify(value, null, 2));
}

function cut(text: string, longest = LONGEST_SHOWN): string {
  return text.length <= longest ? text : text.slice(0, longest).toWellFormed();
}
