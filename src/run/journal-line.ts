/**
 * A line of the journal, `[request, response, {"request_idx":N}]`, read in two ways: parsed whole, which is always right,
 * or at a glance, which is right or says that it does not know, and costs a fraction. Nearly every line is an ordinary
 * answer in OpenAI's order of fields, as this program or Python's `json.dumps` writes it.
 */

import { isUtf8 } from 'node:buffer';
import { readCompletion, readUsage, type Completion, type Usage } from '../annotators/completion.js';
import { isObject, parseJson } from '../json.js';

/** What one line of the journal says. */
export type JournalEntry =
  | { row: number; kind: 'answer'; completion: Completion }
  | { row: number; kind: 'failure'; state: 'failed' | 'filtered'; errors: string[]; usage: Usage | null };

/** Marks, in a failed line's list, a row that a provider's filter refused. */
export const FILTERED_MARK = 'filtered by the provider';

/** Reads one line; null where it is damaged or not of this format. */
export function parseJournalLine(line: Buffer): JournalEntry | null {
  const value = parseJson(line.toString('utf8'));
  if (!Array.isArray(value) || value.length !== 3) return null;
  const [, response, metadata] = value as unknown[];
  const row = isObject(metadata) ? metadata['request_idx'] : undefined;
  if (typeof row !== 'number' || !Number.isSafeInteger(row) || row < 0) return null;
  if (Array.isArray(response)) {
    const errors = response.map((error: unknown) =>
      typeof error === 'string' ? error : JSON.stringify(error),
    );
    const filtered = errors.at(-1) === FILTERED_MARK;
    if (filtered) errors.pop();
    return { row, kind: 'failure', state: filtered ? 'filtered' : 'failed', errors, usage: null };
  }
  const completion = readCompletion(response);
  if (completion !== null) return { row, kind: 'answer', completion };
  // The Python tool saved answers without text as good ones; they are none.
  const usage = isObject(response) ? readUsage(response['usage']) : null;
  return { row, kind: 'failure', state: 'failed', errors: ['the answer holds no text'], usage };
}

/** What is seen of an answer whose state is `ok`. */
export interface Glance {
  row: number;
  model: string;
  usage: Usage;
  isFlex: boolean;
  /** Where the text begins in the line: the byte of its opening quote. */
  textStart: number;
}

/*
 * What is looked for, as bytes; inside a JSON string every quote is escaped, so these are keys for certain. No string is
 * made and nothing is parsed on the way: a journal of a million lines is read at the pace of the disk.
 */
const REQUEST_IDX = Buffer.from('{"request_idx":');
const FINISH_REASON = Buffer.from('"finish_reason":');
const STOP = Buffer.from('"stop"');
/** Keys that some servers write after the finish reason. */
const NOTHING_MORE = [',"logprobs":null', ',"stop_reason":null', ', "logprobs": null'].map((text) =>
  Buffer.from(text),
);
const CHOICES_END = Buffer.from('}]');
const USAGE = Buffer.from('"usage":');
const PROMPT_TOKENS = Buffer.from('{"prompt_tokens":');
const COMPLETION_TOKENS = Buffer.from('"completion_tokens":');
const CACHED_TOKENS = Buffer.from('"cached_tokens":');
const SERVICE_TIER = Buffer.from('"service_tier":');
const FLEX = Buffer.from('"flex"');
const MODEL = Buffer.from('"model":');
/** How the answer's text is introduced, without and with spaces after colons and commas. */
const COMPACT = Buffer.from('"choices":[{"index":0,"message":{"role":"assistant","content":"');
const SPACED = Buffer.from('"choices": [{"index": 0, "message": {"role": "assistant", "content": "');
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const SPACE = 0x20;
const TILDE = 0x7e;
const ZERO = 0x30;
const NINE = 0x39;
const CLOSING_BRACE = 0x7d;
const CLOSING_BRACKET = 0x5d;
const LONGEST_NUMBER = 15;
const LONGEST_MODEL = 200;

/**
 * Looks at both ends of a line. Only for runs that ask for one choice.
 * @returns null where the line has to be parsed: a failure, any state but `ok`, another order of fields, damage
 */
export function glance(line: Buffer): Glance | null {
  const row = rowAtEnd(line);
  if (row === null) return null;
  const finishAt = line.lastIndexOf(FINISH_REASON);
  if (finishAt === -1) return null;
  const valueAt = afterSpace(line, finishAt + FINISH_REASON.length);
  const choicesEnd = endOfChoices(line, valueAt);
  if (choicesEnd === -1) return null;
  const usage = usageAfter(line, choicesEnd);
  if (usage === null) return null;
  const introduction = line[valueAt - 1] === SPACE ? SPACED : COMPACT;
  const choicesAt = line.indexOf(introduction);
  if (choicesAt === -1) return null;
  const model = modelBefore(line, choicesAt);
  const textStart = choicesAt + introduction.length - 1;
  // An empty text is none: the parser decides.
  if (model === null || line[textStart + 1] === QUOTE) return null;
  const tierAt = line.indexOf(SERVICE_TIER, choicesEnd);
  const isFlex = tierAt !== -1 && standsAt(line, FLEX, afterSpace(line, tierAt + SERVICE_TIER.length));
  return { row, model, usage, isFlex, textStart };
}

/** The number in `…},{"request_idx":N}]`; null where the line ends otherwise. */
function rowAtEnd(line: Buffer): number | null {
  let at = line.length - 1;
  if (line[at] !== CLOSING_BRACKET || line[at - 1] !== CLOSING_BRACE) return null;
  at -= 2;
  const last = at;
  while (isDigit(line[at])) at -= 1;
  const row = numberAt(line, at + 1);
  if (row === null || last - at > LONGEST_NUMBER) return null;
  at = beforeSpace(line, at);
  if (!standsAt(line, REQUEST_IDX, at + 1 - REQUEST_IDX.length)) return null;
  at = beforeSpace(line, at - REQUEST_IDX.length);
  return line[at] === COMMA && line[at - 1] === CLOSING_BRACE ? row : null;
}

/** Where the choices end, if the finish reason is `stop` and nothing of meaning follows it; -1 otherwise. */
function endOfChoices(line: Buffer, valueAt: number): number {
  if (!standsAt(line, STOP, valueAt)) return -1;
  let at = valueAt + STOP.length;
  for (let more = nothingMoreAt(line, at); more !== undefined; more = nothingMoreAt(line, at))
    at += more.length;
  return standsAt(line, CHOICES_END, at) ? at + CHOICES_END.length : -1;
}

function nothingMoreAt(line: Buffer, at: number): Buffer | undefined {
  return line[at] === COMMA ? NOTHING_MORE.find((more) => standsAt(line, more, at)) : undefined;
}

function usageAfter(line: Buffer, from: number): Usage | null {
  const usageAt = line.indexOf(USAGE, from);
  if (usageAt === -1) return null;
  const promptAt = afterSpace(line, usageAt + USAGE.length);
  if (!standsAt(line, PROMPT_TOKENS, promptAt)) return null;
  const promptNumber = afterSpace(line, promptAt + PROMPT_TOKENS.length);
  const promptTokens = numberAt(line, promptNumber);
  if (promptTokens === null) return null;
  const comma = afterDigits(line, promptNumber);
  const completionAt = afterSpace(line, comma + 1);
  if (line[comma] !== COMMA || !standsAt(line, COMPLETION_TOKENS, completionAt)) return null;
  const completionTokens = numberAt(line, afterSpace(line, completionAt + COMPLETION_TOKENS.length));
  const cachedAt = line.indexOf(CACHED_TOKENS, usageAt);
  const cachedTokens =
    cachedAt === -1 ? 0 : numberAt(line, afterSpace(line, cachedAt + CACHED_TOKENS.length));
  return completionTokens === null || cachedTokens === null
    ? null
    : { promptTokens, completionTokens, cachedTokens };
}

/** The model's name, kept from line to line: nearly always it is the same. */
let lastModel = { bytes: Buffer.alloc(0), name: '' };

/** The model where it stands right before the choices, as OpenAI and most others write it. */
function modelBefore(line: Buffer, choicesAt: number): string | null {
  let at = beforeSpace(line, choicesAt - 1);
  if (line[at] !== COMMA || line[at - 1] !== QUOTE) return null;
  const end = at - 1;
  at = end - 1;
  while (end - at <= LONGEST_MODEL && isPlain(line[at])) at -= 1;
  if (line[at] !== QUOTE) return null;
  const key = beforeSpace(line, at - 1);
  if (!standsAt(line, MODEL, key + 1 - MODEL.length)) return null;
  const { bytes, name } = lastModel;
  if (bytes.length === end - at - 1 && standsAt(line, bytes, at + 1)) return name;
  lastModel = { bytes: Buffer.from(line.subarray(at + 1, end)), name: line.toString('latin1', at + 1, end) };
  return lastModel.name;
}

/** True for a printable ASCII character that no string escapes. */
function isPlain(byte: number | undefined): boolean {
  return byte !== undefined && byte >= SPACE && byte <= TILDE && byte !== QUOTE && byte !== BACKSLASH;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

function standsAt(line: Buffer, pattern: Buffer, at: number): boolean {
  if (at < 0) return false;
  for (let index = 0; index < pattern.length; index++) if (line[at + index] !== pattern[index]) return false;
  return true;
}

function afterSpace(line: Buffer, at: number): number {
  return line[at] === SPACE ? at + 1 : at;
}

function beforeSpace(line: Buffer, at: number): number {
  return line[at] === SPACE ? at - 1 : at;
}

function afterDigits(line: Buffer, at: number): number {
  let end = at;
  while (isDigit(line[end])) end += 1;
  return end;
}

/** A whole number as JSON writes it, with what ends it; null for anything else, such as `1.5`, `1e9` or `007`. */
function numberAt(line: Buffer, at: number): number | null {
  const end = afterDigits(line, at);
  const next = line[end];
  const isWhole = next === COMMA || next === CLOSING_BRACE;
  if (end === at || end - at > LONGEST_NUMBER || !isWhole || (line[at] === ZERO && end > at + 1)) return null;
  let value = 0;
  for (let index = at; index < end; index++) value = value * 10 + ((line[index] as number) - ZERO);
  return value;
}

/** The escapes that `JSON.stringify` writes: of quote, backslash, b, f, n, r and t. */
const USUAL_ESCAPES: ReadonlySet<number> = new Set(Buffer.from('"\\bfnrt'));

/**
 * The text of a line as JSON, quotes included, cut out of its bytes.
 * @param textStart where `glance` saw it begin
 * @returns null where `JSON.stringify` would write the text otherwise, or where the line is damaged
 */
export function cutText(line: Buffer, textStart: number): Buffer | null {
  for (let at = textStart + 1; at < line.length; at++) {
    const byte = line[at] as number;
    if (byte < SPACE) return null;
    if (byte === BACKSLASH) {
      at += 1;
      if (!USUAL_ESCAPES.has(line[at] ?? 0)) return null;
    } else if (byte === QUOTE) {
      const text = line.subarray(textStart, at + 1);
      const next = line[at + 1];
      return isUtf8(text) && (next === COMMA || next === CLOSING_BRACE) ? text : null;
    }
  }
  return null;
}
