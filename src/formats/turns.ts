/** Chats in the spellings in which datasets hold them, as turns. */

import { isObject, jsonText, parseJson } from '../lib/json.js';
import { shellWord } from '../lib/text.js';
import { IMAGE_MARK, type ChatMessage } from '../types.js';
import { cell, kindOf, scalarText } from './cells.js';
import { findColumn } from './column-names.js';
import { IMAGE_PARTS } from './images.js';
import { RowProblem } from './row-problem.js';
import { roleOf } from './speakers.js';
import { callsInText, readCalls, type FoundCall } from './tool-calls.js';
import { readTranscript, type SpokenTurn } from './transcripts.js';

/** A turn; the content of an answer that is yet to be made may be null. */
export interface Turn {
  role: ChatMessage['role'];
  content: string | null;
  /** Images at the marks of a user's turn; null where the part does not hold it. */
  images?: unknown[];
  /** Calls of tools, of an assistant's turn. */
  calls?: FoundCall[];
  /** What a tool's turn says of the call that it answers: its id, or the tool's name. */
  answers?: { id: string | null; name: string | null };
}

/** Roles of turns that call tools: ShareGPT's in LLaMA-Factory, ms-swift's, and others. */
const CALL_ROLES = new Set(['function_call', 'function-call', 'tool_call', 'tool_calls', 'functioncall']);
const ROLE_KEYS = ['role', 'from', 'speaker', 'author', 'sender'];
const CONTENT_KEYS = ['content', 'value', 'text', 'message', 'utterance', 'parts', 'mes'];
/** Where a turn only says whether a person speaks: PIPPA, SillyTavern. */
const PERSON_KEYS = ['is_human', 'is_user'];

/** Keys of objects that hold a question and its answer instead of one turn: ms-swift, xtuner, Capybara, and others. */
const ASKED_KEYS = ['human', 'user', 'prompt', 'question', 'query', 'instruction', 'input'];
const ANSWERED_KEYS = [
  ...['assistant', 'gpt', 'bot', 'model', 'ai', 'moss'],
  ...['response', 'completion', 'answer', 'output'],
];

/** Who speaks in a list of plain texts: in turn, or (MT-bench's `turns`) always the user. */
export type Speakers = 'alternating' | 'user';

/** True for what is surely a chat: a list of objects, lists of roles and texts, or an object that holds either. */
export function isChat(value: unknown): boolean {
  if (Array.isArray(value))
    return value.length > 0 && (value.every((one) => isObject(one)) || value.every(isListOfTurns));
  return isObject(value) && (Array.isArray(value['messages']) || zipped(value) !== null);
}

/** True for a message by itself. */
export function isTurn(value: unknown): boolean {
  return (
    isObject(value) &&
    !isChat(value) &&
    (typeof value['role'] === 'string' || typeof value['from'] === 'string')
  );
}

/**
 * The turns of a chat: messages, `{human, assistant}` pairs, pairs of texts, texts in turn, one object of lists, or any
 * of them as JSON text; or a transcript with `Human:` and `Assistant:`.
 * @param column for messages
 * @throws RowProblem that names the turn
 */
export function readTurns(value: unknown, column: string, speakers: Speakers = 'alternating'): Turn[] {
  if (typeof value === 'string') return readText(value, column, speakers);
  if (isObject(value)) {
    if (Array.isArray(value['replies'])) {
      throw new RowProblem(
        `"${column}" is a tree of messages, in which each path is a separate chat; write one row for each path`,
      );
    }
    const list = Array.isArray(value['messages']) ? value['messages'] : zipped(value);
    if (list !== null) return readTurns(list, column, speakers);
    const numbered = numberedTurns(value);
    if (numbered !== null) return readTurns(numbered, column, speakers);
  }
  if (!Array.isArray(value)) throw new RowProblem(`"${column}" is ${kindOf(value)}, not a list of turns`);
  // BFCL has a list of turns for each step.
  return value.flatMap((item: unknown, place) =>
    isListOfTurns(item)
      ? readTurns(item, column, speakers)
      : readItem(item, place, `turn ${place + 1} of "${column}"`, speakers),
  );
}

function readText(text: string, column: string, speakers: Speakers): Turn[] {
  const parsed = /^\s*[[{]/.test(text) ? parseJson(text) : undefined;
  if (Array.isArray(parsed) || isObject(parsed)) return readTurns(parsed, column, speakers);
  const turns = turnsOfText(text);
  if (turns !== null) return turns;
  throw new RowProblem(
    `"${column}" is a string, not a list of turns; if it is the prompt itself, add --prompt_column ${shellWord(column)}`,
  );
}

/** The turns of a dialogue that is one text; null for any other text. */
export function turnsOfText(text: string): Turn[] | null {
  return readTranscript(text)?.turns.map(spokenTurn) ?? null;
}

/** A turn of a text, with the calls that it writes. */
export function spokenTurn({ role, content }: SpokenTurn): Turn {
  if (role === 'assistant') return answerTurn(content);
  return role === 'tool' ? { role, content, answers: { id: null, name: null } } : { role, content };
}

/** `{"role": [...], "content": [...]}`, as Parquet and `datasets` hold lists of structs; null for anything else. */
function zipped(value: Record<string, unknown>): Record<string, unknown>[] | null {
  const role = ROLE_KEYS.find((key) => Array.isArray(value[key]));
  const content = CONTENT_KEYS.find((key) => Array.isArray(value[key]));
  if (role === undefined || content === undefined) return null;
  const contents = value[content] as unknown[];
  return (value[role] as unknown[]).map((one, place) => ({ role: one, content: contents[place] ?? null }));
}

/** True for a list of nothing but messages. */
function isListOfTurns(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isTurn);
}

/** `{"turn_1": {…}, "turn_2": {…}}`, as MOSS has them; null for anything else. */
function numberedTurns(value: Record<string, unknown>): unknown[] | null {
  const turns = Object.entries(value).filter(([, turn]) => turn !== null);
  if (turns.length === 0 || !turns.every(([name]) => /^turn[_ -]?\d{1,6}$/i.test(name))) return null;
  const numberOf = ([name]: [string, unknown]): number => Number(name.replace(/^\D+/, ''));
  return turns.toSorted((a, b) => numberOf(a) - numberOf(b)).map(([, turn]) => turn);
}

function readItem(item: unknown, place: number, where: string, speakers: Speakers): Turn[] {
  if (typeof item === 'string') {
    const isUser = speakers === 'user' || place % 2 === 0;
    return [{ role: isUser ? 'user' : 'assistant', content: item }];
  }
  if (Array.isArray(item) && item.length === 2) {
    const [user, assistant] = item as [unknown, unknown];
    return [
      { role: 'user', content: contentOf(user, where) },
      { role: 'assistant', content: contentOf(assistant, where) },
    ];
  }
  if (!isObject(item)) throw new RowProblem(`${where} is ${kindOf(item)}, not a message`);
  if (ROLE_KEYS.some((key) => cell(item, key) !== null)) return [readMessage(item, where)];
  const isPerson = PERSON_KEYS.map((key) => cell(item, key)).find((one) => typeof one === 'boolean');
  if (isPerson !== undefined) return [readMessage({ ...item, role: isPerson ? 'user' : 'assistant' }, where)];
  // Arena-Hard's turns are `{"content": "…"}`.
  const isPrompt = speakers === 'user' && CONTENT_KEYS.some((key) => cell(item, key) !== null);
  return isPrompt ? [readMessage({ ...item, role: 'user' }, where)] : readPair(item, where);
}

function readPair(item: Record<string, unknown>, where: string): Turn[] {
  const keyOf = (names: readonly string[]): string | undefined =>
    names.map((name) => findColumn(Object.keys(item), name)).find((key) => key !== null) ?? undefined;
  const [asked, answered] = [keyOf(ASKED_KEYS), keyOf(ANSWERED_KEYS)];
  if (asked === undefined || answered === undefined) throw new RowProblem(`${where} has an unknown role`);
  refusePlugins(item, where);
  const system = cell(item, 'system');
  const parts = ['context', asked, ...(asked === 'input' ? [] : ['input'])].map((key) =>
    withoutMarks(contentOf(cell(item, key), where)),
  );
  const content = parts.filter((part) => part !== null && part !== '').join('\n\n');
  return [
    ...(typeof system === 'string' && system !== '' ? [{ role: 'system' as const, content: system }] : []),
    { role: 'user', content },
    { role: 'assistant', content: withoutMarks(contentOf(item[answered], where)) },
  ];
}

/** MOSS's tokens around a text: `<|Human|>: …<eoh>`, `<|MOSS|>: …<eom>`, `<|Results|>: …<eor>`. */
function withoutMarks(text: string | null): string | null {
  const start = text === null ? null : /^<\|(?:Human|MOSS|Results)\|>:/.exec(text);
  if (text === null || start === null) return text;
  return text
    .slice(start[0].length)
    .trim()
    .replace(/<eo[hmr]>$/, '')
    .trim();
}

/** @throws RowProblem where a turn of MOSS has results of its plugins, which no definitions describe */
function refusePlugins(item: Record<string, unknown>, where: string): void {
  const results = cell(item, 'Tool Responses');
  if (typeof results !== 'string' || ['', 'None'].includes(withoutMarks(results) ?? '')) return;
  throw new RowProblem(`${where} holds results of plugins, which cannot be sent`);
}

function readMessage(item: Record<string, unknown>, where: string): Turn {
  const spelled = ROLE_KEYS.map((key) => cell(item, key)).find((value) => value !== null);
  const name = typeof spelled === 'string' ? spelled.trim().toLowerCase() : '';
  // SWE-agent's trajectories have the system prompt under its own name.
  const keys = roleOf(name) === 'system' ? [...CONTENT_KEYS, 'system_prompt'] : CONTENT_KEYS;
  const content = keys.map((key) => cell(item, key)).find((value) => value !== null) ?? null;
  if (CALL_ROLES.has(name)) return readCallTurn(content ?? cell(item, 'tool_calls'), where);
  const role = roleOf(name);
  if (role === null) throw new RowProblem(`${where} has an unknown role`);
  if (role === 'tool') return readResult(item, content, where);
  if (role === 'user') {
    const images: unknown[] = [];
    const asked = contentOf(content, where, images);
    return images.length === 0 ? { role, content: asked } : { role, content: asked, images };
  }
  const text = contentOf(content, where);
  if (role !== 'assistant') return { role, content: text };
  const given = ['tool_calls', 'function_call'].map((key) => cell(item, key)).find(isCall);
  if (given === undefined) return answerTurn(text);
  const calls = readCalls(given);
  if (calls === null) throw new RowProblem(`${where} calls tools in an unknown way`);
  return { role, content: text === '' ? null : text, calls };
}

/** An answer, with the calls that it writes into its text. */
function answerTurn(text: string | null): Turn {
  const spoken = text === null ? null : callsInText(text);
  return spoken === null
    ? { role: 'assistant', content: text }
    : { role: 'assistant', content: spoken.text, calls: spoken.calls };
}

function readCallTurn(content: unknown, where: string): Turn {
  const calls = readCalls(content);
  if (calls !== null) return { role: 'assistant', content: null, calls };
  const turn = answerTurn(contentOf(content, where));
  if (turn.calls === undefined) throw new RowProblem(`${where} calls tools in an unknown way`);
  return turn;
}

/** What a tool returned: text, or any other value as JSON. */
function readResult(item: Record<string, unknown>, content: unknown, where: string): Turn {
  const id = cell(item, 'tool_call_id') ?? cell(item, 'id');
  const name = cell(item, 'name');
  const isParts =
    Array.isArray(content) && content.every((part) => isObject(part) && part['type'] === 'text');
  const text = typeof content === 'string' || isParts ? contentOf(content, where) : jsonText(content);
  return {
    role: 'tool',
    content: content === null ? '' : text,
    answers: {
      id: typeof id === 'string' && id !== '' ? id : null,
      name: typeof name === 'string' && name !== '' ? name : null,
    },
  };
}

function isCall(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (isObject(value)) return Object.values(value).some((member) => member !== null);
  return typeof value === 'string' && value.trim() !== '' && value.trim() !== '[]';
}

/**
 * Text unchanged, text parts joined by line breaks; null where there is none.
 * @param images takes what image parts hold, which are marks in the text; absent where they cannot be sent
 */
export function contentOf(value: unknown, where: string, images?: unknown[]): string | null {
  if (value === null || value === undefined) return null;
  const text = scalarText(value);
  if (text !== null) return text;
  const parts: unknown[] = Array.isArray(value) ? value : [value];
  return parts.map((part) => partText(part, where, images)).join('\n');
}

function partText(part: unknown, where: string, images: unknown[] | undefined): string {
  if (typeof part === 'string') return part;
  if (!isObject(part)) throw new RowProblem(`${where} has ${kindOf(part)} for its text`);
  const text = cell(part, 'text') ?? cell(part, 'content');
  const kind = scalarText(cell(part, 'type'));
  if (kind !== null && IMAGE_PARTS.has(kind) && images !== undefined) {
    const { type: _, text: __, ...image } = part;
    images.push(Object.values(image).every((one) => one === null) ? null : image);
    return IMAGE_MARK;
  }
  const type = scalarText(cell(part, 'type'));
  if ((type === null || /^(?:input_|output_)?text$/.test(type)) && typeof text === 'string') return text;
  if (type === null) throw new RowProblem(`${where} has an object for its text`);
  throw new RowProblem(`${where} holds a part of type "${type}", which cannot be sent`);
}
