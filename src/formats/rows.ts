/** How the parts of a row become a request: one way for every shape, since cells say what they are. */

import { isObject, parseJson } from '../lib/json.js';
import type { ChatMessage, PromptRow } from '../types.js';
import { alpacaPrompt } from './alpaca.js';
import { answered, answerOf, dialogueOf, preferredAnswer, type OriginalAnswer } from './answers.js';
import { cell, contextText, optionalText, originalAnswer, requiredText } from './cells.js';
import { isChosen, readRowChoices, type RowChoices } from './choices.js';
import { findFirst, looksLikePrompt } from './column-names.js';
import { preferredColumn } from './comparisons.js';
import { readConversation } from './conversation.js';
import type { ColumnRoles, Row } from './format.js';
import { CHOICES, LABELLED_ANSWERS } from './known-columns.js';
import { RowProblem } from './row-problem.js';
import { readCalls } from './tool-calls.js';
import { readAlpacaText, readTranscript } from './transcripts.js';
import { contentOf, isChat, isTurn, readTurns, spokenTurn, type Turn } from './turns.js';

/** Columns that follow the prompt; others, such as a passage that is asked about, come before it. */
const AFTER_PROMPT = /^inputs?$/i;

/** A prompt column that holds text or a chat, with what goes with it. */
export function readPlain(row: Row, roles: ColumnRoles): PromptRow {
  const { cells, found } = withTextPrompt(row, withOwnChoices(row, roles));
  const answer = answerOf(cells, found.response, choicesOf(cells, found));
  return readPrompt(cells, found, found.response === null ? null : answer);
}

/**
 * Answers are choices only in a row whose label says which of several is right (ReClor); in any other they are the original
 * answer, which must not be sent.
 */
function withOwnChoices(row: Row, roles: ColumnRoles): ColumnRoles {
  const { choices, response, spreadChoices } = roles;
  if (/^answer[_ -]?\d$/i.test(spreadChoices[0] ?? '')) {
    const label = response === null ? null : cell(row, response);
    return isChosen(readRowChoices(row, null, spreadChoices), label)
      ? roles
      : { ...roles, spreadChoices: [], response: null };
  }
  if (choices?.toLowerCase() !== LABELLED_ANSWERS.choices || response === null) return roles;
  const listed = cell(row, choices);
  const isListed = Array.isArray(listed) && listed.length >= LABELLED_ANSWERS.least && isListOfTexts(listed);
  const isLabelled = isListed && isChosen(readRowChoices(row, choices, []), cell(row, response));
  return isLabelled ? roles : { ...roles, choices: null, response: choices };
}

/** Where a question object has its text: the files of ARC and CommonsenseQA, NarrativeQA, WebGPT. */
const PROMPT_KEYS = ['stem', 'text', 'full_text', 'question', 'question_text', 'prompt', 'content', 'value'];

/** The row with the text of a prompt that is an object, and the choices in it; as it is otherwise. */
function withTextPrompt(row: Row, roles: ColumnRoles): { cells: Row; found: ColumnRoles } {
  const value = cell(row, roles.prompt);
  const unchanged = { cells: row, found: roles };
  if (!isObject(value) || isChat(value) || isTurn(value)) return unchanged;
  const key = PROMPT_KEYS.find((name) => typeof cell(value, name) === 'string');
  if (key === undefined) return unchanged;
  const inner = roles.choices === null ? findFirst(Object.keys(value), CHOICES) : null;
  // What else may belong to the prompt must not be lost: such a row is refused.
  const others = Object.keys(value).filter((name) => name !== key && name !== inner);
  if (others.some((name) => cell(value, name) !== null && looksLikePrompt(name, false))) return unchanged;
  const cells = { ...row, [roles.prompt]: cell(value, key) };
  if (inner === null || Object.hasOwn(row, inner)) return { cells, found: roles };
  return { cells: { ...cells, [inner]: value[inner] }, found: { ...roles, choices: inner } };
}

/** The same in the template of Stanford Alpaca. */
export function readAlpaca(row: Row, found: ColumnRoles): PromptRow {
  const roles = withOwnChoices(row, found);
  const choices = choicesOf(row, roles);
  const input = [...texts(row, roles.inputs), choices.text].filter((part) => part !== '');
  const prompt = alpacaPrompt(requiredText(row, roles.prompt), input.join('\n\n'));
  return answered(withHistory(row, roles, prompt), answerOf(row, roles.response, choices));
}

/** A question as the instruction of an Alpaca prompt. */
export function readGlaive(row: Row, roles: ColumnRoles): PromptRow {
  const prompt = alpacaPrompt(requiredText(row, roles.prompt));
  return answered(withHistory(row, roles, prompt), answerOf(row, roles.response));
}

/** A chat: the turns before its last answer are the request, and that answer is the original. */
export function readChat(row: Row, roles: ColumnRoles): PromptRow {
  const { response, chatAnswer } = roles;
  const found = chatRow(turnsOf(row, roles), row, roles);
  if (response !== null) return answered(unanswered(found), answerOf(row, response));
  const isAnswered = found.annotation_original !== null || found.annotation_original_tool_calls !== undefined;
  return isAnswered ? found : answered(found, answerOf(row, chatAnswer));
}

/** A prompt with a preferred answer; without a prompt column it is in the preferred dialogue. */
export function readPreference(row: Row, roles: ColumnRoles): PromptRow {
  const response = roles.comparison === null ? roles.response : preferredColumn(row, roles.comparison);
  if (response === null) return readPlain(row, roles);
  const chosen = dialogueOf(row, response);
  if (chosen?.some((turn) => turn.role === 'user') === true) return chatRow(chosen, row, roles);
  if (roles.prompt === roles.response) {
    throw new RowProblem(`"${response}" is not a dialogue, and there is no prompt column`);
  }
  const turns = pairedTurns(cell(row, roles.prompt), cell(row, response));
  if (turns !== null) return chatRow(turns, row, roles);
  const { cells, found } = withTextPrompt(row, roles);
  return readPrompt(cells, found, preferredAnswer(row, response, chosen));
}

/** A list of prompts and one of their answers, or JSON text of both, as Chatbot Arena has them; null for anything else. */
function pairedTurns(prompts: unknown, answers: unknown): Turn[] | null {
  const [asked, answered] = [prompts, answers].map((value) =>
    typeof value === 'string' && value.startsWith('[') ? parseJson(value) : value,
  );
  if (!isListOfTexts(asked) || !Array.isArray(answered) || asked.length !== answered.length) return null;
  return readTurns(
    asked.map((text, place) => [text, (answered as unknown[])[place] ?? null]),
    'prompt',
  );
}

/** A row of this program's own results. */
export function readReannotated(row: Row, roles: ColumnRoles): PromptRow {
  const column = roles.requests.find((name) => Array.isArray(cell(row, name)));
  const calls = roles.originalCalls === null ? null : cell(row, roles.originalCalls);
  const original: OriginalAnswer = {
    content: originalAnswer(row, roles.response),
    calls: calls === null ? [] : (readCalls(calls) ?? []),
  };
  if (column !== undefined) {
    const turns = readTurns(cell(row, column), column);
    return answered(unanswered(chatRow(turns, row, roles)), original);
  }
  const request = {
    system_prompt: systemText(row, roles.system),
    user_prompt: requiredText(row, roles.prompt),
    annotation_original: null,
  };
  return answered(request, original);
}

/** @param answer null where only the prompt's own column may hold one */
function readPrompt(row: Row, roles: ColumnRoles, answer: OriginalAnswer | null): PromptRow {
  const value = cell(row, roles.prompt);
  const found =
    isChat(value) || isListOfTexts(value)
      ? chatRow(turnsOf(row, roles), row, roles)
      : readText(row, roles, answer !== null);
  return answer === null ? found : answered(unanswered(found), answer);
}

function readText(row: Row, roles: ColumnRoles, hasAnswer: boolean): PromptRow {
  const text = requiredText(row, roles.prompt);
  const { before, after } = around(row, roles);
  const isAlone = before.length + after.length === 0;
  const dialogue = isAlone ? readDialogue(text, row, roles, hasAnswer) : null;
  return dialogue ?? withHistory(row, roles, [...before, text, ...after].join('\n\n'));
}

/** A dialogue in one text, or a training text with its answer; null for a plain prompt. */
function readDialogue(text: string, row: Row, roles: ColumnRoles, hasAnswer: boolean): PromptRow | null {
  const alpaca = hasAnswer ? null : readAlpacaText(text);
  if (alpaca !== null) {
    return answered(withHistory(row, roles, alpaca.prompt), { content: alpaca.answer, calls: [] });
  }
  const transcript = readTranscript(text);
  if (transcript?.isDialogue !== true) return null;
  // Where there is an answer column, a dialogue that ends with an answer is not a request.
  if (hasAnswer && transcript.turns.at(-1)?.role === 'assistant') return null;
  return chatRow(transcript.turns.map(spokenTurn), row, roles);
}

/** The request of a chat and its last answer, with what other columns add to it. */
function chatRow(turns: readonly Turn[], row: Row, roles: ColumnRoles): PromptRow {
  const { request, answer } = readConversation([...historyOf(row, roles.history), ...turns]);
  const place = request.findLastIndex((turn) => turn.role === 'user');
  const last = request[place];
  if (last === undefined) throw new RowProblem('the chat has no user turn before its last answer');
  const asked = last.content ?? '';
  if (asked.trim() === '') throw new RowProblem('the last user turn is empty');
  const user = withParts(asked, around(row, roles), request);
  request[place] = { ...last, content: user };
  addSystem(request, systemText(row, roles.system));
  const calls = answer?.calls ?? [];
  const images = turns.flatMap((turn) => turn.images ?? []);
  return {
    ...rowOf(request, user, answer?.content ?? null),
    ...(calls.length === 0 ? {} : { annotation_original_tool_calls: calls }),
    ...(images.length === 0 ? {} : { found_images: images }),
  };
}

/** What goes with the prompt around the last user turn, unless the chat holds it already. */
function withParts(asked: string, { before, after }: Around, request: readonly ChatMessage[]): string {
  const isNew = (part: string): boolean => !request.some(({ content }) => content?.includes(part) === true);
  return [...before.filter(isNew), asked, ...after.filter(isNew)].join('\n\n');
}

/** The row without the original answer that its chat ends with. */
function unanswered(row: PromptRow): PromptRow {
  const { annotation_original_tool_calls: _, ...rest } = row;
  return { ...rest, annotation_original: null };
}

function withHistory(row: Row, roles: ColumnRoles, prompt: string): PromptRow {
  const system = systemText(row, roles.system);
  const history = historyOf(row, roles.history);
  if (history.length === 0) return { system_prompt: system, user_prompt: prompt, annotation_original: null };
  const { request } = readConversation([...history, { role: 'user', content: prompt }]);
  addSystem(request, system);
  return rowOf(request, prompt, null);
}

/** Puts a system prompt from a column of its own at the start, unless the chat has one. */
function addSystem(request: ChatMessage[], system: string): void {
  if (system !== '' && request[0]?.role !== 'system') request.unshift({ role: 'system', content: system });
}

function turnsOf(row: Row, { prompt }: ColumnRoles): Turn[] {
  return readTurns(cell(row, prompt), prompt, /turns|^prompt/i.test(prompt) ? 'user' : 'alternating');
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

/** MT-bench's turns in a column `prompt`. */
function isListOfTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string');
}

/** A system prompt as text, or in the parts of Gemini and Bedrock. */
function systemText(row: Row, column: string | null): string {
  const value = column === null ? null : cell(row, column);
  if (column === null || typeof value !== 'object' || value === null) return optionalText(row, column);
  const content = isObject(value) ? (cell(value, 'parts') ?? cell(value, 'content') ?? value) : value;
  return contentOf(content, `"${column}"`) ?? '';
}

/** What goes with a prompt: texts that come before it, and those that follow it. */
interface Around {
  before: string[];
  after: string[];
}

function around(row: Row, roles: ColumnRoles): Around {
  const before = roles.inputs.filter((column) => !AFTER_PROMPT.test(column));
  const after = roles.inputs.filter((column) => AFTER_PROMPT.test(column));
  const choices = choicesOf(row, roles).text;
  return { before: texts(row, before), after: [...texts(row, after), ...(choices === '' ? [] : [choices])] };
}

function choicesOf(row: Row, roles: ColumnRoles): RowChoices {
  return readRowChoices(row, roles.choices, roles.spreadChoices);
}

function texts(row: Row, columns: readonly string[]): string[] {
  return columns.map((column) => contextText(row, column)).filter((text) => text !== '');
}
