/** The tools of a row, and an original answer that calls them. */

import { isObject, parseJson } from '../lib/json.js';
import type { PromptRow, ToolCall } from '../types.js';
import { cell } from './cells.js';
import type { ColumnRoles, Row } from './format.js';
import { pythonCalls, readCalls, toolCall } from './tool-calls.js';
import { readTools, toolsInText, type Tool } from './tools.js';

/**
 * Adds the tools that a row's column holds, or else its system prompt describes.
 * @throws RowProblem where the column holds something else
 */
export function withTools(row: PromptRow, source: Row, { tools: column, prompt }: ColumnRoles): PromptRow {
  const tools = column === null ? [] : readTools(cell(source, column), column);
  const beside = tools.length > 0 ? tools : toolsBesideTurns(source, prompt);
  const found = beside.length > 0 ? beside : describedTools(row);
  return found.length === 0 ? row : withCalls({ ...row, tools: found }, found);
}

/** Tools in the object that holds the turns: OpenAI's preference and batch files, `{"messages": […], "tools": […]}`. */
function toolsBesideTurns(source: Row, column: string): Tool[] {
  const value = cell(source, column);
  return isObject(value) && Array.isArray(value['messages']) ? readTools(cell(value, 'tools'), column) : [];
}

/** Definitions in a system prompt, which stays as it is: it may ask for a way to write calls. */
function describedTools({ system_prompt: system }: PromptRow): Tool[] {
  return /\b(?:tool|function|api)/i.test(system) ? toolsInText(system) : [];
}

/** An original answer of text is calls where it names nothing but the row's tools: xLAM's lists, and ToolACE's Python. */
function withCalls(row: PromptRow, tools: readonly Tool[]): PromptRow {
  const { annotation_original: text } = row;
  if (text === null || row.annotation_original_tool_calls !== undefined) return row;
  const calls = /^\s*[[{]/.test(text) ? (readCalls(parseJson(text)) ?? pythonCalls(text)) : null;
  const names = new Set(tools.map((tool) => tool.function.name));
  if (calls?.every(({ name }) => names.has(name)) !== true) return row;
  const before = (row.messages ?? []).reduce((sum, { tool_calls: made = [] }) => sum + made.length, 0);
  const named: ToolCall[] = calls.map((call, place) => toolCall(call, `call_${before + place + 1}`));
  return { ...row, annotation_original: null, annotation_original_tool_calls: named };
}
