/**
 * What a model thought before it answered, apart from what it answered. Servers put it into fields of their own, into
 * parts of the content, or into the text between tags; this is the one place that knows them all, for answers online,
 * streamed and from batches.
 */

import { isObject } from '../lib/json.js';

/** Where reasoning goes: a field of its own, before the text, or nowhere but `output.jsonl`. */
export const REASONING_MODES = ['separate', 'inline', 'drop'] as const;
export type ReasoningMode = (typeof REASONING_MODES)[number];
export const DEFAULT_REASONING_MODE: ReasoningMode = 'separate';

/** A message taken apart; null for what it does not hold. */
export interface Spoken {
  text: string | null;
  reasoning: string | null;
}

/** Fields of a message, the first with any text counts: the same reasoning is often there under several names. */
const FIELDS = [
  'reasoning_content', // DeepSeek, Qwen, xAI, Fireworks, SGLang, LiteLLM
  'reasoning', // vLLM, OpenRouter, Groq, Cerebras, Together
  'reasoning_details', // OpenRouter, MiniMax: `[{type: "reasoning.text", text}, {type: "reasoning.summary", summary}]`
  'thinking_blocks', // LiteLLM: `[{type: "thinking", thinking}]`
  'thinking', // Ollama
] as const;

/** Kinds of content parts that are not the answer (Mistral, Anthropic's native blocks, OpenRouter). */
const REASONING_PARTS: ReadonlySet<unknown> = new Set(['thinking', 'redacted_thinking', 'reasoning']);

/** Fields of a part that hold its text. Encrypted reasoning (`data`, `signature`) is none. */
const PART_TEXTS = ['thinking', 'text', 'summary', 'reasoning', 'content'] as const;
/** A text in a list in a part is the deepest that is known. */
const DEEPEST = 4;

interface Tags {
  opens: string;
  closes: string;
}

/** The usual ones: DeepSeek-R1, Qwen3, QwQ, MiniMax. */
const THINK: Tags = { opens: '<think>', closes: '</think>' };

/** How chat templates mark reasoning at the start of a text, where the server does not take it out. */
const TAGS: readonly (Tags & { source?: string })[] = [
  THINK,
  { opens: '<thinking>', closes: '</thinking>', source: 'prompts in the style of Reflection' },
  { opens: '<thought>', closes: '</thought>', source: 'Gemini’s compatible endpoint with include_thoughts' },
  { opens: '<seed:think>', closes: '</seed:think>', source: 'Seed-OSS' },
  { opens: '[THINK]', closes: '[/THINK]', source: 'Magistral' },
  { opens: '◁think▷', closes: '◁/think▷', source: 'Kimi-VL' },
  {
    opens: '<|channel|>analysis<|message|>',
    closes: '<|end|><|start|>assistant<|channel|>final<|message|>',
    source: 'gpt-oss (OpenAI’s harmony format)',
  },
];
/** The first characters of the tags, of which a text that begins with reasoning has one after its blanks. */
const FIRST_CHARACTERS = new Set(TAGS.map(({ opens }) => opens.charAt(0)));

/**
 * Separates a message's reasoning from its text.
 * @param message of a choice, as the chat completions API gives it
 * @param isWhole true where the answer came to its own end
 */
export function readMessage(message: Readonly<Record<string, unknown>>, isWhole: boolean): Spoken {
  const { content } = message;
  const spoken = Array.isArray(content) ? readParts(content) : ofText(content);
  for (const field of FIELDS) {
    const value = message[field];
    if (value === undefined || value === null) continue;
    spoken.reasoning ??= trimmed(textOf(value));
  }
  const { text, reasoning } = spoken;
  if (text === null) return spoken;
  const tagged = readTags(text, isWhole, reasoning !== null);
  if (tagged === null) return reasoning === null || text.trim() !== '' ? spoken : { text: null, reasoning };
  return { text: tagged.text, reasoning: joined(reasoning, tagged.reasoning) };
}

/** Reasoning and answer as one text, the way that recipes for training reasoning models write it. */
export function withReasoning(reasoning: string | null, text: string): string {
  return reasoning === null ? text : `${THINK.opens}\n${reasoning}\n${THINK.closes}\n\n${text}`;
}

/** An answer of an earlier turn without the reasoning that it begins with, which models are not to see again. */
export function withoutReasoning(text: string): string {
  return readTags(text, true, true)?.text ?? text;
}

function ofText(content: unknown): Spoken {
  return { text: typeof content === 'string' && content !== '' ? content : null, reasoning: null };
}

/** Parts may alternate: each kind is put together in its order. */
function readParts(parts: readonly unknown[]): Spoken {
  const texts: string[] = [];
  const reasoning: string[] = [];
  for (const part of parts) {
    if (isObject(part) && REASONING_PARTS.has(part['type'])) reasoning.push(textOf(part).trim());
    else if (typeof part === 'string') texts.push(part);
    else if (isObject(part) && typeof part['text'] === 'string') texts.push(part['text']);
  }
  const text = texts.join('');
  return {
    text: text === '' ? null : text,
    reasoning: trimmed(reasoning.filter((one) => one !== '').join('\n\n')),
  };
}

/** The text of a field or part: a string, an object with one, or a list of these. */
function textOf(value: unknown, depth = 0): string {
  if (typeof value === 'string') return value;
  if (depth > DEEPEST) return '';
  if (Array.isArray(value)) return value.map((one) => textOf(one, depth + 1)).join('');
  if (!isObject(value)) return '';
  for (const field of PART_TEXTS) {
    const text = textOf(value[field], depth + 1);
    if (text !== '') return text;
  }
  return '';
}

/**
 * Reasoning between tags; null where the text has none.
 *
 * The opening tag counts at the start of the text alone. Where the template wrote it, the answer begins with the
 * reasoning itself: then a `</think>` that ends or begins a line, or ends the text, closes it, unless it is quoted in
 * code or the server gives reasoning elsewhere. Without a closing tag all of a text that was cut off is reasoning; of
 * one that came to its end only where the opening tag is a line of its own, as templates write it.
 */
function readTags(text: string, isWhole: boolean, isElsewhere: boolean): Spoken | null {
  const start = text.trimStart();
  const tags = FIRST_CHARACTERS.has(start.charAt(0))
    ? TAGS.find(({ opens }) => start.startsWith(opens))
    : undefined;
  if (tags === undefined) return isElsewhere ? null : readUnopened(text);
  const from = tags.opens.length;
  const end = start.indexOf(tags.closes, from);
  if (end !== -1) {
    return { reasoning: trimmed(start.slice(from, end)), text: answerFrom(start, end + tags.closes.length) };
  }
  const isUnclosed = !isWhole || start.charAt(from) === '\n' || start.slice(from).trim() === '';
  return isUnclosed ? { reasoning: trimmed(start.slice(from)), text: null } : null;
}

function readUnopened(text: string): Spoken | null {
  const { opens, closes } = THINK;
  const end = text.indexOf(closes);
  if (end === -1) return null;
  const before = text.slice(0, end);
  const after = end + closes.length;
  const isAtEdge =
    before === '' || before.endsWith('\n') || after === text.length || /[\r\n]/.test(text.charAt(after));
  const isInCode = before.split('```').length % 2 === 0;
  if (!isAtEdge || isInCode || before.includes(opens)) return null;
  return { reasoning: trimmed(before), text: answerFrom(text, after) };
}

function answerFrom(text: string, start: number): string | null {
  const answer = text.slice(start).trimStart();
  return answer === '' ? null : answer;
}

function trimmed(text: string): string | null {
  const rest = text.trim();
  return rest === '' ? null : rest;
}

/** What two places say; some servers copy the reasoning into a field and leave it in the text. */
function joined(a: string | null, b: string | null): string | null {
  if (a === null || b === null || a === b) return a ?? b;
  return `${a}\n\n${b}`;
}

const BACKSLASH = 0x5c;
const SPACE = 0x20;
const OPENING = [...TAGS.map(({ opens }) => opens), THINK.closes].map((tag) => Buffer.from(tag));
const CLOSING_TAG = Buffer.from(THINK.closes);
/** 1 for bytes with which a tag begins. */
const BEGINS_TAG = new Uint8Array(256);
for (const tag of OPENING) BEGINS_TAG[tag[0] ?? 0] = 1;

/**
 * True where a text may begin with reasoning between tags, by its bytes as JSON.
 * @param start the first byte after the opening quote
 */
export function mayBeginWithReasoning(bytes: Buffer, start: number): boolean {
  let at = start;
  // Blanks, and the escapes of line breaks and tabs; an escape of another kind is looked at by the parser anyway.
  while (bytes[at] === SPACE || bytes[at] === BACKSLASH) at += bytes[at] === SPACE ? 1 : 2;
  return BEGINS_TAG[bytes[at] ?? 0] === 1 && OPENING.some((tag) => isAt(bytes, tag, at));
}

/** True where `</think>` ends before or begins after an escape (of a line break, if any), by its bytes as JSON. */
export function isBesideClosingTag(bytes: Buffer, escapeAt: number): boolean {
  return endsClosingTag(bytes, escapeAt) || isAt(bytes, CLOSING_TAG, escapeAt + 2);
}

/** True where `</think>` ends right before a byte. */
export function endsClosingTag(bytes: Buffer, end: number): boolean {
  return isAt(bytes, CLOSING_TAG, end - CLOSING_TAG.length);
}

function isAt(bytes: Buffer, wanted: Buffer, at: number): boolean {
  if (at < 0) return false;
  for (let index = 0; index < wanted.length; index++) {
    if (bytes[at + index] !== wanted[index]) return false;
  }
  return true;
}

/** Keys of reasoning with a value, between a text and the end of its message. */
const REASONING_KEY = /"(?:reasoning|thinking)\w*": ?(?!null|""|\[\]|\{\})/;

/** What followed a text in the line before and held no reasoning, up to and with `"finish_reason":`. */
let plainTail = Buffer.alloc(0);
const FINISH_REASON = Buffer.from('"finish_reason":');
/** A tail of another answer's own values is not worth keeping. */
const LONGEST_TAIL = 1000;

/**
 * True where reasoning may follow a text in its message, by their bytes; what servers write there is the same from line
 * to line where there is none.
 * @param textEnd the byte after the text's closing quote
 */
export function mayHaveReasoningAfter(bytes: Buffer, textEnd: number, lineEnd: number): boolean {
  if (plainTail.length > 0 && isAt(bytes, plainTail, textEnd)) return false;
  const finishAt = bytes.subarray(textEnd, lineEnd).indexOf(FINISH_REASON);
  if (finishAt === -1) return true;
  const tail = bytes.subarray(textEnd, textEnd + finishAt + FINISH_REASON.length);
  if (REASONING_KEY.test(tail.toString('latin1'))) return true;
  if (tail.length <= LONGEST_TAIL) plainTail = Buffer.from(tail);
  return false;
}
