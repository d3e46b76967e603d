/** `--prompt_template`, `--system_prompt` and `--keep_columns`: what users add to what the format finds. */

import { UsageError, UserError } from '../lib/errors.js';
import { ExactNumber, isObject, jsonText } from '../lib/json.js';
import { sanitize } from '../lib/text.js';
import type { ChatMessage, PromptRow } from '../types.js';
import { cell, contextText } from './cells.js';
import { findColumn } from './column-names.js';
import type { Row } from './format.js';
import { RowProblem } from './row-problem.js';

/** The prompt that the format found, in a template. */
const PROMPT = 'prompt';
const PLACES = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;

/** A template that was checked against a dataset's columns. */
export interface PromptTemplate {
  /** Columns that it names. */
  columns: string[];
  /** True where it holds the prompt that the format finds. */
  usesPrompt: boolean;
  render(row: Row, prompt: string): string;
}

/**
 * Reads a template: `{column}` is replaced by a column's text, `{prompt}` for the prompt that was found, `{{` and `}}` for
 * braces. What is put in is never expanded itself.
 * @throws UsageError where a brace is unpaired; UserError where the dataset lacks a column
 */
export function readTemplate(text: string, available: readonly string[]): PromptTemplate {
  const parts: (string | { column: string | null })[] = [];
  let end = 0;
  for (const match of text.matchAll(PLACES)) {
    parts.push(text.slice(end, match.index));
    parts.push(readPlace(match[0], match[1], available));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  const places = parts.filter((part) => typeof part !== 'string');
  return {
    columns: [...new Set(places.map(({ column }) => column).filter((column) => column !== null))],
    usesPrompt: places.some(({ column }) => column === null),
    render: (row, prompt) =>
      parts
        .map((part) => {
          if (typeof part === 'string') return part;
          return part.column === null ? prompt : contextText(row, part.column);
        })
        .join(''),
  };
}

function readPlace(
  match: string,
  name: string | undefined,
  available: readonly string[],
): string | { column: string | null } {
  if (match === '{{') return '{';
  if (match === '}}') return '}';
  if (name === undefined) {
    throw new UsageError(
      `--prompt_template has a single "${match}". Write ${match}${match} for a brace in the prompt.`,
    );
  }
  const wanted = name.trim();
  if (wanted === PROMPT) return { column: null };
  const column = available.includes(name) ? name : findColumn(available, wanted);
  if (column !== null) return { column };
  throw new UserError(
    `--prompt_template names {${sanitize(name, 60)}}, and the dataset has no such column. It has ` +
      `${sanitize(available.join(', '), 400)}; {prompt} is the detected prompt. Write {{ and }} for braces.`,
  );
}

/** The row with the template around its prompt: around the last user turn of a chat. */
export function withTemplate(row: PromptRow, source: Row, template: PromptTemplate): PromptRow {
  const prompt = template.render(source, row.user_prompt);
  if (prompt.trim() === '') throw new RowProblem('the template produces an empty prompt');
  const { messages } = row;
  if (messages === undefined) return { ...row, user_prompt: prompt };
  const last = messages.findLastIndex((turn) => turn.role === 'user');
  const changed = messages.map((turn, place) => (place === last ? { ...turn, content: prompt } : turn));
  return { ...row, user_prompt: prompt, messages: changed };
}

/** The row with another system prompt in place of its own. */
export function withSystemPrompt(row: PromptRow, system: string): PromptRow {
  const { messages } = row;
  if (messages === undefined) return { ...row, system_prompt: system };
  const turn: ChatMessage = { role: 'system', content: system };
  const rest = messages[0]?.role === 'system' ? messages.slice(1) : messages;
  return { ...row, system_prompt: system, messages: [turn, ...rest] };
}

/**
 * The columns that `--keep_columns` names.
 * @param used those that the results hold in other words: `all` leaves them out
 * @throws UserError where the dataset lacks one
 */
export function keptColumns(
  wanted: readonly string[],
  available: readonly string[],
  used: readonly string[],
): string[] {
  if (wanted.length === 1 && wanted[0] === 'all' && !available.includes('all'))
    return available.filter((column) => !used.includes(column));
  const missing = wanted.find((column) => !available.includes(column));
  if (missing === undefined) return [...new Set(wanted)];
  throw new UserError(
    `--keep_columns ${sanitize(missing, 80)}: the dataset has no such column. It has ${sanitize(available.join(', '), 400)}.`,
  );
}

/** The kept cells of a row as JSON text; binary data is null there. */
export function keptCells(row: Row, columns: readonly string[]): string {
  try {
    const cells = Object.fromEntries(
      columns.map((column) => [column.toWellFormed(), plain(cell(row, column))]),
    );
    return jsonText(cells);
  } catch (error) {
    if (error instanceof RangeError) throw new RowProblem('a kept cell is nested too deeply');
    throw error;
  }
}

function plain(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  if (value instanceof Uint8Array) return null;
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value) || value instanceof ExactNumber) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name.toWellFormed(), plain(inner)]),
  );
}
