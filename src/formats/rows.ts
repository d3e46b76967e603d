/** How the parts of a row become a request: one way for every shape, since cells say what they are. */

import { isObject, parseJson } from '../lib/json.js';
import type { ChatMessage, PromptRow } from '../types.js';
import { alpacaPrompt } from './alpaca.js';
import { cell, contextText, optionalText, originalAnswer, requiredText } from './cells.js';
import { choicesText } from './choices.js';
import type { ColumnRoles, Row } from './format.js';
import { RowProblem } from './row-problem.js';
import { isChat, readTranscript, readTurns, type Turn } from './turns.js';
import { readConversation } from './conversation.js';

/** Columns that follow the prompt; others, such as a passage that is asked about, come before it. */
const AFTER_PROMPT = /^inputs?$/i;

/** A prompt column that holds text or a chat, with what goes with it. */
export function readPlain(row: Row, roles: ColumnRoles): PromptRow {
  if (isChat(cell(row, roles.prompt))) return readChat(row, roles);
  const prompt = requiredText(row, roles.prompt);
  const before = roles.inputs.filter((column) => !AFTER_PROMPT.test(column));
  const after = roles.inputs.filter((column) => AFTER_PROMPT.test(column));
  const parts = [...texts(row, before), prompt, ...texts(row, after), choicesText(row, roles.choices)];
  return withHistory(row, roles, parts.filter((part) => part !== '').join('\n\n'));
}

/** The same in the template of Stanford Alpaca. */
export function readAlpaca(row: Row, roles: ColumnRoles): PromptRow {
  const input = [...texts(row, roles.inputs), choicesText(row, roles.choices)].filter((part) => part !== '');
  return withHistory(row, roles, alpacaPrompt(requiredText(row, roles.prompt), input.join('\n\n')));
}

/** A question as the instruction of an Alpaca prompt. */
export function readGlaive(row: Row, roles: ColumnRoles): PromptRow {
  return withHistory(row, roles, alpacaPrompt(requiredText(row, roles.prompt)));
}

/** A chat: the turns before its last answer are the request, and that answer is the original. */
export function readChat(row: Row, roles: ColumnRoles): PromptRow {
  const speakers = /turns/i.test(roles.prompt) ? 'user' : 'alternating';
  const turns = readTurns(cell(row, roles.prompt), roles.prompt, speakers);
  return chatRow(turns, optionalText(row, roles.system), answerOf(row, roles.response));
}

/** A prompt with a preferred answer; where there is no prompt column the preferred dialogue holds it. */
export function readPreference(row: Row, roles: ColumnRoles): PromptRow {
  const { response } = roles;
  if (response === null) return readPlain(row, roles);
  const chosen = dialogueOf(row, response);
  const answer = chosen?.findLast((turn) => turn.role === 'assistant')?.content ?? null;
  const isWhole = chosen?.some((turn) => turn.role === 'user') === true;
  if (isWhole) return chatRow(chosen, optionalText(row, roles.system), null);
  if (roles.prompt === response) {
    throw new RowProblem(`"${response}" holds no dialogue, and there is no prompt beside it`);
  }
  const original = chosen === null ? textAnswer(row, response) : answer;
  return { ...readPlain(row, { ...roles, response: null }), annotation_original: original };
}

/** A row of this program's own results. */
export function readReannotated(row: Row, roles: ColumnRoles): PromptRow {
  const column = roles.requests.find((name) => Array.isArray(cell(row, name)));
  const original = originalAnswer(row, roles.response);
  const system = optionalText(row, roles.system);
  if (column !== undefined) {
    return { ...chatRow(readTurns(cell(row, column), column), system, null), annotation_original: original };
  }
  return {
    system_prompt: system,
    user_prompt: requiredText(row, roles.prompt),
    annotation_original: original,
  };
}

/** @param answer null where the chat's own last answer is the original */
function chatRow(turns: readonly Turn[], systemColumn: string, answer: string | null): PromptRow {
  const { request, answer: last } = readConversation(turns);
  const user = request.findLast((turn) => turn.role === 'user')?.content ?? null;
  if (user === null) throw new RowProblem('the chat holds no user turn before its last answer');
  if (user.trim() === '') throw new RowProblem('the last user turn is empty');
  if (systemColumn !== '' && request[0]?.role !== 'system') {
    request.unshift({ role: 'system', content: systemColumn });
  }
  const row = rowOf(request, user, answer ?? last?.content ?? null);
  const calls = answer === null ? (last?.calls ?? []) : [];
  const images = turns.flatMap((turn) => turn.images ?? []);
  return {
    ...row,
    ...(calls.length === 0 ? {} : { annotation_original_tool_calls: calls }),
    ...(images.length === 0 ? {} : { found_images: images }),
  };
}

function withHistory(row: Row, roles: ColumnRoles, prompt: string): PromptRow {
  const system = optionalText(row, roles.system);
  const history = historyOf(row, roles.history);
  const original = answerOf(row, roles.response);
  if (history.length === 0)
    return { system_prompt: system, user_prompt: prompt, annotation_original: original };
  const { request } = readConversation([...history, { role: 'user', content: prompt }]);
  if (system !== '' && request[0]?.role !== 'system') request.unshift({ role: 'system', content: system });
  return rowOf(request, prompt, original);
}

function historyOf(row: Row, column: string | null): Turn[] {
  const value = column === null ? null : cell(row, column);
  return column === null || value === null || value === '' ? [] : readTurns(value, column);
}

function rowOf(request: ChatMessage[], prompt: string, original: string | null): PromptRow {
  const system = request.find((turn) => turn.role === 'system')?.content ?? '';
  const row: PromptRow = { system_prompt: system, user_prompt: prompt, annotation_original: original };
  // A plain request is a prompt, with a system prompt or without.
  const isPlain = request.length === (request[0]?.role === 'system' ? 2 : 1);
  return isPlain ? row : { ...row, messages: request };
}

/** The original answer: text, the last answer of a chat, the first of SQuAD's answers, or JSON text of other values. */
function answerOf(row: Row, column: string | null): string | null {
  if (column === null) return null;
  const value = cell(row, column);
  if (isTurn(value) || isChat(value)) return lastAnswer(value, column);
  if (isObject(value) && Array.isArray(value['text']) && Object.hasOwn(value, 'answer_start')) {
    return typeof value['text'][0] === 'string' ? value['text'][0] : null;
  }
  return originalAnswer(row, column);
}

function lastAnswer(value: unknown, column: string): string | null {
  try {
    const turns = readTurns(isTurn(value) ? [value] : value, column);
    return turns.findLast((turn) => turn.role === 'assistant')?.content ?? null;
  } catch (error) {
    if (error instanceof RowProblem) return null;
    throw error;
  }
}

/** An answer that is never JSON: what is no text has no place beside a new answer. */
function textAnswer(row: Row, column: string): string | null {
  const value = cell(row, column);
  return isObject(value) || Array.isArray(value) ? null : originalAnswer(row, column);
}

/** The turns of a preferred answer; null where it is plain text, or nothing that is known. */
function dialogueOf(row: Row, column: string): Turn[] | null {
  const value = cell(row, column);
  const parsed = typeof value === 'string' && /^\s*[[{]/.test(value) ? parseJson(value) : undefined;
  const found = parsed ?? value;
  if (isTurn(found)) return readTurns([found], column);
  if (isChat(found)) return readTurns(found, column);
  return typeof value === 'string' ? readTranscript(value) : null;
}

function isTurn(value: unknown): boolean {
  return (
    isObject(value) &&
    !isChat(value) &&
    (typeof value['role'] === 'string' || typeof value['from'] === 'string')
  );
}

function texts(row: Row, columns: readonly string[]): string[] {
  return columns.map((column) => contextText(row, column)).filter((text) => text !== '');
}
