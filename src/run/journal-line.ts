/**
 * A line of the journal, `[request, response, {"request_idx":N}]`, read in two ways: parsed whole, which is always right,
 * or by a quick look, which is right or says that it does not know, and costs a fraction. Nearly every line is an ordinary
 * answer in OpenAI's order of fields, as this program or Python's `json.dumps` writes it.
 */

import { isUtf8 } from 'node:buffer';
import { readAnswer, type Completion } from '../models/completion.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { FinishRules, NO_REASON, STANDARD_RULES } from '../models/finish-reason.js';
import { endsClosingTag, isBesideClosingTag, mayBeginWithReasoning } from '../models/reasoning.js';
import { PRICED_TIERS, type ServiceTier } from '../models/service-tiers.js';
import { fullyReported, usageFromTexts } from '../models/usage-estimate.js';
import {
  MOST_TOKENS,
  plainUsage as usageOf,
  readUsage,
  type AnswerFigures,
  type Usage,
} from '../models/usage.js';
import { matchesAt, wordsBehind, zeroByte } from '../lib/bytes.js';
import { isObject, parseJson } from '../lib/json.js';
import { findOrigin, readOrigin, type Origin } from './origin.js';
import { findPart, readPart } from './line-part.js';
import type { JobPart } from '../requests/processor.js';

/** What one line of the journal says. */
export type JournalEntry = {
  row: number;
  part: JobPart | null;
  /** Null where the row's own request was answered. */
  origin: Origin | null;
} & LineContent;

/** What it holds besides. */
type LineContent =
  | {
      kind: 'answer';
      completion: Completion;
      /** What it used; counted from the texts of the line where the answer does not report it. */
      figures: () => AnswerFigures;
    }
  /** An answer that is not known to be whole: the row is still to be asked, unless its reason is accepted. */
  | { kind: 'partial'; reason: string; figures: AnswerFigures }
  /** An answer that breaks the schema of `--response_format`: the row is still to be asked. */
  | { kind: 'unfit'; violation: string; figures: AnswerFigures }
  | { kind: 'failure'; state: 'failed' | 'filtered'; errors: string[]; usage: Usage | null };

/** Marks, in a failed line's list, a row that a provider's filter refused. */
export const FILTERED_MARK = 'filtered by the provider';

/**
 * Reads one line; null where it is damaged or not of this format.
 * @param rules which answers count as whole: lines of earlier versions are judged by them as well
 */
export function parseJournalLine(line: Buffer, rules: AnswerRules = STANDARD_RULES): JournalEntry | null {
  // Answers are written as UTF-8, whatever a server sent.
  if (!isUtf8(line)) return null;
  const value = parseJson(line.toString('utf8'));
  if (!Array.isArray(value) || value.length !== 3) return null;
  const [request, response, metadata] = value as unknown[];
  const row = isObject(metadata) ? metadata['request_idx'] : undefined;
  if (!isObject(metadata) || typeof row !== 'number' || !Number.isSafeInteger(row) || row < 0) return null;
  const content = readContent(request, response, rules);
  return { row, part: readPart(metadata), origin: readOrigin(metadata), ...content };
}

function readContent(request: unknown, response: unknown, rules: AnswerRules): LineContent {
  if (Array.isArray(response)) {
    const errors = response.map((error: unknown) =>
      typeof error === 'string' ? error : JSON.stringify(error),
    );
    const filtered = errors.at(-1) === FILTERED_MARK;
    if (filtered) errors.pop();
    return { kind: 'failure', state: filtered ? 'filtered' : 'failed', errors, usage: null };
  }
  const answer = readAnswer(response, isWithoutReasons(request, response) ? ANY_ENDING : rules);
  switch (answer.kind) {
    case 'whole':
      return wholeAnswer(answer.completion, request, response);
    case 'partial':
      return {
        kind: 'partial',
        reason: answer.reason,
        figures: { usage: usageFromTexts(answer.usage, request, response), tier: answer.tier },
      };
    case 'unfit':
      return {
        kind: 'unfit',
        violation: answer.violation,
        figures: { usage: usageFromTexts(answer.usage, request, response), tier: answer.tier },
      };
    case 'error':
      return {
        kind: 'partial',
        reason: 'error',
        figures: { usage: usageFromTexts(answer.usage, request, response), tier: 'standard' },
      };
    // The Python tool saved answers without text as good ones; they are not.
    case 'empty':
      return emptyAnswer(answer.usage);
    case 'foreign':
      return emptyAnswer(isObject(response) ? readUsage(response['usage']) : null);
  }
}

function wholeAnswer(completion: Completion, request: unknown, response: unknown): LineContent {
  const { usage, tier } = completion;
  const figures = (): AnswerFigures => ({ usage: usageFromTexts(usage, request, response), tier });
  return { kind: 'answer', completion, figures };
}

const ANY_ENDING = new FinishRules([NO_REASON]);

/**
 * True for a line of the Python tool whose choices have no field for a finish reason at all. It kept what its API client
 * gave it, so there was nothing to judge by, and its users have paid for these answers. Its requests name every
 * parameter, as null where it has no value, which ours never do.
 */
function isWithoutReasons(request: unknown, response: unknown): boolean {
  if (!isObject(request) || request['logit_bias'] !== null) return false;
  const choices = isObject(response) ? response['choices'] : null;
  return (
    Array.isArray(choices) && choices.every((one) => isObject(one) && one['finish_reason'] === undefined)
  );
}

function emptyAnswer(usage: Usage | null): LineContent {
  return { kind: 'failure', state: 'failed', errors: ['the answer has no text'], usage };
}

/** What is seen at the end of a line whose answer's state is `ok`. */
export interface PeekedLine {
  row: number;
  usage: Usage;
  tier: ServiceTier;
  /** Null where the row's own request was answered. */
  origin: Origin | null;
}

/** Where an answer's text is in its line, and who wrote it. */
export interface FoundText {
  model: string;
  /** The byte of its opening quote. */
  start: number;
}

/*
 * What is looked for, as bytes; inside a JSON string every quote is escaped, so these are keys for certain. No string is
 * made and nothing is parsed on the way, and lines are ranges of a larger buffer: a journal of a million lines is read
 * at the pace of the disk.
 */
const REQUEST_IDX = Buffer.from('{"request_idx":');
/** The same where an origin is before it. */
const LATER_REQUEST_IDX = Buffer.from(',"request_idx":');
const FINISH_REASON = Buffer.from('"finish_reason":');
const STOP = Buffer.from('"stop"');
const ERROR = Buffer.from('"error":');
/** Keys that some servers write after the finish reason. */
const NOTHING_MORE = [',"logprobs":null', ',"stop_reason":null', ', "logprobs": null'].map((text) =>
  Buffer.from(text),
);
const CHOICES_END = Buffer.from('}]');
/** What follows an answer's text and nothing else: only a text can be before it, for a refusal would be in its place. */
const AFTER_TEXT = [
  '","refusal":null,"annotations":[]},"logprobs":null,',
  '","refusal":null},"logprobs":null,',
  '","refusal":null},',
  '", "refusal": null, "annotations": []}, "logprobs": null, ',
  '", "refusal": null}, "logprobs": null, ',
].map((text) => Buffer.from(text));
const USAGE = Buffer.from('"usage":');
const PROMPT_TOKENS = Buffer.from('{"prompt_tokens":');
const COMPLETION_TOKENS = Buffer.from('"completion_tokens":');
const TOTAL_TOKENS = Buffer.from('"total_tokens":');
const CACHED_TOKENS = Buffer.from('cached_tokens":');
const REASONING_TOKENS = Buffer.from('"reasoning_tokens":');
const COST = Buffer.from('cost');
const CACHE = Buffer.from('cache_');
const LETTER_A = 0x61;
const LETTER_C = 0x63;
const LETTER_O = 0x6f;
const COMPACT_COMPLETION = Buffer.from(',"completion_tokens":');
const COMPACT_TOTAL = Buffer.from(',"total_tokens":');
const SERVICE_TIER = Buffer.from('"service_tier":');
const TIER_NAMES = PRICED_TIERS.map((tier) => Buffer.from(`"${tier}"`));
const MODEL = Buffer.from('"model":');
/**
 * How the answer's text is introduced, without and with spaces after colons and commas. Searching goes from one first
 * character to the next: brackets are rarer than the quotes that come before them.
 */
const CHOICES = Buffer.from('"choices":');
const COMPACT = Buffer.from('[{"index":0,"message":{"role":"assistant","content":"');
const SPACED = Buffer.from('[{"index": 0, "message": {"role": "assistant", "content": "');
const QUOTE = 0x22;
const TAG_START = 0x3c;
const TAG_END = 0x3e;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const SPACE = 0x20;
const TILDE = 0x7e;
const ZERO = 0x30;
const NINE = 0x39;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const CLOSING_BRACKET = 0x5d;
const LONGEST_NUMBER = 15;
const LONGEST_MODEL = 200;
const LONGEST_USAGE = 4096;
const NOTHING = Buffer.alloc(0);

/**
 * Looks at the end of a line. Only for runs that ask for one choice.
 * @param start where the line begins in `bytes`
 * @param end where it ends, exclusive
 * @returns null where the line has to be parsed: a failure, any state but `ok`, another order of fields, damage
 */
export function peekLine(bytes: Buffer, start: number, end: number): PeekedLine | null {
  const responseEnd = endOfResponse(bytes, start, end);
  // Only runs that ask once for a row are looked at here.
  if (responseEnd === -1 || lastPart !== null) return null;
  const row = lastRow;
  const origin = lastOrigin;
  const usage = fullyReported(readAsBefore(bytes, start, responseEnd) ?? readAnew(bytes, start, responseEnd));
  return usage === null ? null : { row, usage, tier: lastRest.tier, origin };
}

/*
 * Lines of a run differ in their texts and in three numbers, so what the line before had between its text and its
 * numbers, and after them, is compared as a whole first: that takes half the time.
 */

/** From the text's closing quote to the first number, both as they have been understood once. */
let lastMiddle: Buffer = NOTHING;
/** From the last number to the response's end. */
let lastRest: { bytes: Buffer; cachedTokens: number; reasoningTokens: number; tier: ServiceTier } = {
  bytes: NOTHING,
  cachedTokens: 0,
  reasoningTokens: 0,
  tier: 'standard',
};

/** The usage of a line that has the same keys and values as the one before; null for any other. */
function readAsBefore(bytes: Buffer, start: number, responseEnd: number): Usage | null {
  if (lastMiddle.length === 0) return null;
  const rest = lastRest.bytes;
  let at = responseEnd - rest.length;
  if (at <= start || bytes.compare(rest, 0, rest.length, at, responseEnd) !== 0) return null;
  const totalTokens = numberBefore(bytes, at);
  at = numberStart - COMPACT_TOTAL.length;
  if (totalTokens === -1 || !matchesAt(bytes, COMPACT_TOTAL, at)) return null;
  const completionTokens = numberBefore(bytes, at);
  at = numberStart - COMPACT_COMPLETION.length;
  if (completionTokens === -1 || !matchesAt(bytes, COMPACT_COMPLETION, at)) return null;
  const promptTokens = numberBefore(bytes, at);
  const promptAt = numberStart;
  at = promptAt - lastMiddle.length;
  // Right after another quote the text's closing one would be its opening one.
  if (promptTokens === -1 || at <= start || bytes[at - 1] === QUOTE) return null;
  if (bytes.compare(lastMiddle, 0, lastMiddle.length, at, promptAt) !== 0) return null;
  return plainUsage(promptTokens, completionTokens, totalTokens);
}

/** Counts that mean what they mean at OpenAI; null where another dialect gives them another meaning. */
function plainUsage(promptTokens: number, completionTokens: number, totalTokens: number): Usage | null {
  const { cachedTokens, reasoningTokens } = lastRest;
  if (totalTokens !== promptTokens + completionTokens || cachedTokens > promptTokens) return null;
  if (totalTokens > MOST_TOKENS) return null;
  return usageOf(promptTokens, completionTokens, cachedTokens, Math.min(reasoningTokens, completionTokens));
}

function readAnew(bytes: Buffer, start: number, responseEnd: number): Usage | null {
  const finishAt = bytes.subarray(start, responseEnd).lastIndexOf(FINISH_REASON) + start;
  if (finishAt < start) return null;
  const choicesEnd = endOfChoices(bytes, finishAt);
  if (choicesEnd === -1) return null;
  const usageAt = findUsage(bytes, choicesEnd, responseEnd);
  const usage =
    usageAt === -1
      ? null
      : (readUsageAt(bytes, usageAt, responseEnd) ?? parseUsageAt(bytes, usageAt, responseEnd));
  // The tier may be before the usage.
  if (usage === null || bytes.subarray(choicesEnd, usageAt).includes(SERVICE_TIER)) return null;
  const textEnd = endOfTextBefore(bytes, finishAt);
  if (textEnd === -1) return isPlainAnswer(bytes, start, finishAt) ? usage : null;
  const promptAt = usageAt + USAGE.length + PROMPT_TOKENS.length;
  const isCompact = isDigit(bytes[promptAt]) && matchesAt(bytes, PROMPT_TOKENS, usageAt + USAGE.length);
  if (isCompact) lastMiddle = Buffer.from(bytes.subarray(textEnd, promptAt));
  return usage;
}

/** True where there is a text and, between it and the finish reason, no error of the choice. */
function isPlainAnswer(bytes: Buffer, start: number, finishAt: number): boolean {
  const text = findText(bytes, start, finishAt);
  return text !== null && !bytes.subarray(text.start, finishAt).includes(ERROR);
}

/** The row whose one answer a line is, by its end; null where it does not end as such lines of the journal do. */
export function rowOfLine(bytes: Buffer, start: number, end: number): number | null {
  return endOfResponse(bytes, start, end) === -1 || lastPart !== null ? null : lastRow;
}

/** The row of the line whose end was looked at last, its part of that row, and where its answer comes from. */
let lastRow = 0;
let lastPart: JobPart | null = null;
let lastOrigin: Origin | null = null;

/** Where the response ends, exclusive, if it is an object and the line's metadata follow; -1 otherwise. Notes both. */
function endOfResponse(bytes: Buffer, start: number, end: number): number {
  const at = endOfContent(bytes, start, end);
  return at !== -1 && bytes[at - 1] === CLOSING_BRACE ? at : -1;
}

/**
 * Where the request and its response end, exclusive, if the line goes on with `,{"request_idx":N}]`; -1 otherwise. They
 * begin behind the line's first bracket.
 */
export function endOfContent(bytes: Buffer, start: number, end: number): number {
  let at = end - 1;
  if (bytes[at] !== CLOSING_BRACKET || bytes[at - 1] !== CLOSING_BRACE) return -1;
  const row = numberBefore(bytes, at - 1);
  if (row === -1) return -1;
  at = beforeSpace(bytes, numberStart - 1);
  lastOrigin = null;
  lastPart = null;
  if (matchesAt(bytes, REQUEST_IDX, at + 1 - REQUEST_IDX.length)) {
    lastRow = row;
    at -= REQUEST_IDX.length;
  } else {
    at = beforeLongMetadata(bytes, start, at, row);
    if (at === -1) return -1;
  }
  at = beforeSpace(bytes, at);
  return at > start + 1 && bytes[at] === COMMA ? at : -1;
}

/**
 * The same where there is more in the metadata than the row.
 * @param at the last byte of the key of the last number
 */
function beforeLongMetadata(bytes: Buffer, start: number, at: number, last: number): number {
  let key = at;
  lastRow = last;
  const part = findPart(bytes, key + 1, last);
  if (part !== null) {
    lastPart = part.part;
    lastRow = numberBefore(bytes, part.start);
    if (lastRow === -1) return -1;
    key = numberStart - 1;
    if (matchesAt(bytes, REQUEST_IDX, key + 1 - REQUEST_IDX.length)) return key - REQUEST_IDX.length;
  }
  const before = key + 1 - LATER_REQUEST_IDX.length;
  const found = matchesAt(bytes, LATER_REQUEST_IDX, before) ? findOrigin(bytes, start, before + 1) : null;
  if (found === null) return -1;
  lastOrigin = found.origin;
  return found.start - 1;
}

/** Where the choices end, if the finish reason is `stop` and nothing of meaning follows it; -1 otherwise. */
function endOfChoices(bytes: Buffer, finishAt: number): number {
  let at = afterSpace(bytes, finishAt + FINISH_REASON.length);
  if (!matchesAt(bytes, STOP, at)) return -1;
  at += STOP.length;
  for (let more = nothingMoreAt(bytes, at); more !== undefined; more = nothingMoreAt(bytes, at))
    at += more.length;
  return matchesAt(bytes, CHOICES_END, at) ? at + CHOICES_END.length : -1;
}

function nothingMoreAt(bytes: Buffer, at: number): Buffer | undefined {
  return bytes[at] === COMMA ? NOTHING_MORE.find((more) => matchesAt(bytes, more, at)) : undefined;
}

/**
 * Where a text that is not empty ends, at its closing quote, right before what usually stands between it and the finish
 * reason; -1 where something else is there.
 */
function endOfTextBefore(bytes: Buffer, finishAt: number): number {
  const after = AFTER_TEXT.find((one) => matchesAt(bytes, one, finishAt - one.length));
  const closing = finishAt - (after?.length ?? finishAt + 1);
  // Right after another quote only an escaped one would not be the opening one.
  return closing > 1 && bytes[closing - 1] !== QUOTE ? closing : -1;
}

function readUsageAt(bytes: Buffer, usageAt: number, end: number): Usage | null {
  const promptAt = afterSpace(bytes, usageAt + USAGE.length);
  if (!matchesAt(bytes, PROMPT_TOKENS, promptAt)) return null;
  const promptNumber = afterSpace(bytes, promptAt + PROMPT_TOKENS.length);
  const promptTokens = numberAt(bytes, promptNumber);
  let at = afterDigits(bytes, promptNumber);
  if (promptTokens === null || bytes[at] !== COMMA) return null;
  at = afterSpace(bytes, at + 1);
  if (!matchesAt(bytes, COMPLETION_TOKENS, at)) return null;
  at = afterSpace(bytes, at + COMPLETION_TOKENS.length);
  const completionTokens = numberAt(bytes, at);
  at = afterDigits(bytes, at);
  const total = afterSpace(bytes, at + 1);
  if (completionTokens === null || !matchesAt(bytes, TOTAL_TOKENS, total)) return null;
  at = afterSpace(bytes, total + TOTAL_TOKENS.length);
  const totalTokens = numberAt(bytes, at);
  if (totalTokens === null || !readRest(bytes, afterDigits(bytes, at), end)) return null;
  return plainUsage(promptTokens, completionTokens, totalTokens);
}

/**
 * Parses the usage object alone, which is short: it states a cost, or its counts are of another dialect. Nothing of it
 * is kept for the next line.
 */
function parseUsageAt(bytes: Buffer, usageAt: number, end: number): Usage | null {
  lastMiddle = NOTHING;
  const from = afterSpace(bytes, usageAt + USAGE.length);
  const to = endOfObject(bytes, from, Math.min(end, from + LONGEST_USAGE));
  if (to === -1) return null;
  const rest = bytes.subarray(to, end);
  // Of two keys of one name the last counts.
  if (rest.includes(USAGE)) return null;
  lastRest = { bytes: NOTHING, cachedTokens: 0, reasoningTokens: 0, tier: tierIn(rest) };
  return readUsage(parseJson(bytes.toString('utf8', from, to)));
}

/** Where an object ends that begins at a place, exclusive; -1 where it does not before `limit`. */
function endOfObject(bytes: Buffer, start: number, limit: number): number {
  if (bytes[start] !== OPENING_BRACE) return -1;
  let depth = 0;
  let isText = false;
  for (let at = start; at < limit; at++) {
    const byte = bytes[at];
    if (byte === BACKSLASH) at += 1;
    else if (byte === QUOTE) isText = !isText;
    else if (isText) continue;
    else if (byte === OPENING_BRACE) depth += 1;
    else if (byte === CLOSING_BRACE) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return -1;
}

function findUsage(bytes: Buffer, from: number, end: number): number {
  const at = afterSpace(bytes, from + 1);
  if (matchesAt(bytes, USAGE, at)) return at;
  const found = bytes.subarray(from, end).indexOf(USAGE);
  return found === -1 ? -1 : from + found;
}

/** Reads what follows the numbers into `lastRest`; false where the parser has to. */
function readRest(bytes: Buffer, from: number, end: number): boolean {
  const cachedTokens = cachedTokensIn(bytes, from, end);
  const rest = bytes.subarray(from, end);
  const reasoningTokens = reasoningTokensIn(rest);
  if (cachedTokens === null || reasoningTokens === null) return false;
  lastRest = { bytes: Buffer.from(rest), cachedTokens, reasoningTokens, tier: tierIn(rest) };
  return true;
}

/**
 * The cached tokens as OpenAI reports them; null where there is a part of another dialect's names: `cost` for a cost that
 * the answer states, or `cache_` for other counts of cached tokens. One pass is half the time of searching for each.
 */
function cachedTokensIn(bytes: Buffer, from: number, end: number): number | null {
  let cachedTokens: number | null = 0;
  let isFound = false;
  for (let at = from; at < end && cachedTokens !== null; at++) {
    // An escape may spell a name otherwise.
    if (bytes[at] === BACKSLASH) return null;
    if (bytes[at] !== LETTER_C) continue;
    if (bytes[at + 1] === LETTER_O) {
      if (matchesAt(bytes, COST, at)) return null;
    } else if (bytes[at + 1] === LETTER_A) {
      if (matchesAt(bytes, CACHE, at)) return null;
      if (isFound || bytes[at - 1] !== QUOTE || !matchesAt(bytes, CACHED_TOKENS, at)) continue;
      isFound = true;
      cachedTokens = numberAt(bytes, afterSpace(bytes, at + CACHED_TOKENS.length));
    }
  }
  return cachedTokens;
}

/** The reasoning tokens as OpenAI reports them, 0 where it does not; null where they are no plain number. */
function reasoningTokensIn(rest: Buffer): number | null {
  const at = rest.indexOf(REASONING_TOKENS);
  return at === -1 ? 0 : numberAt(rest, afterSpace(rest, at + REASONING_TOKENS.length));
}

function tierIn(rest: Buffer): ServiceTier {
  const tierAt = rest.indexOf(SERVICE_TIER);
  if (tierAt === -1) return 'standard';
  const at = afterSpace(rest, tierAt + SERVICE_TIER.length);
  return PRICED_TIERS.find((_, place) => matchesAt(rest, TIER_NAMES[place] ?? NOTHING, at)) ?? 'standard';
}

/**
 * Finds the text of an answer whose state is `ok`.
 * @param start where its line begins in `bytes`
 * @param end where to stop looking, exclusive
 * @returns null where the parser has to look, for instance because the text is empty
 */
export function findText(bytes: Buffer, start: number, end: number): FoundText | null {
  const line = bytes.subarray(start, end);
  let introduction = COMPACT;
  let found = line.indexOf(introduction);
  if (found === -1) {
    introduction = SPACED;
    found = line.indexOf(introduction);
  }
  if (found === -1) return null;
  const choicesAt = beforeSpace(bytes, start + found - 1) + 1 - CHOICES.length;
  const model = matchesAt(bytes, CHOICES, choicesAt) ? modelBefore(bytes, choicesAt) : null;
  const text = start + found + introduction.length - 1;
  return model === null || bytes[text + 1] === QUOTE ? null : { model, start: text };
}

/** The model's name, kept from line to line: nearly always it is the same. */
let lastModel = { bytes: Buffer.alloc(0), name: '' };

/** The model where it is right before the choices, as OpenAI and most others write it. */
function modelBefore(line: Buffer, choicesAt: number): string | null {
  let at = beforeSpace(line, choicesAt - 1);
  if (line[at] !== COMMA || line[at - 1] !== QUOTE) return null;
  const end = at - 1;
  const { bytes, name } = lastModel;
  const known = bytes.length > 0 && line[end - bytes.length - 1] === QUOTE;
  if (known && matchesAt(line, bytes, end - bytes.length)) at = end - bytes.length - 1;
  else {
    at = end - 1;
    while (end - at <= LONGEST_MODEL && isPlain(line[at])) at -= 1;
  }
  if (line[at] !== QUOTE) return null;
  const key = beforeSpace(line, at - 1);
  if (!matchesAt(line, MODEL, key + 1 - MODEL.length)) return null;
  if (bytes.length === end - at - 1 && matchesAt(line, bytes, at + 1)) return name;
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

function afterSpace(line: Buffer, at: number): number {
  return line[at] === SPACE ? at + 1 : at;
}

function beforeSpace(line: Buffer, at: number): number {
  return line[at] === SPACE ? at - 1 : at;
}

/** Where the number begins that was read last. */
let numberStart = 0;

/** The whole number whose digits end before a place, as JSON writes it; -1 for anything else. Notes where it begins. */
function numberBefore(line: Buffer, end: number): number {
  let value = 0;
  let unit = 1;
  let at = end - 1;
  for (let byte = line[at] as number; byte >= ZERO && byte <= NINE; byte = line[at] as number) {
    value += (byte - ZERO) * unit;
    unit *= 10;
    at -= 1;
  }
  numberStart = at + 1;
  const digits = end - numberStart;
  return digits === 0 || digits > LONGEST_NUMBER || (digits > 1 && line[numberStart] === ZERO) ? -1 : value;
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

/** What a byte is inside a text's quotes. */
const ORDINARY = 0;
const FORBIDDEN = 1;
const ESCAPES = 2;
const ENDS = 3;
const KINDS = new Uint8Array(256);
KINDS.fill(FORBIDDEN, 0, SPACE);
KINDS[BACKSLASH] = ESCAPES;
KINDS[QUOTE] = ENDS;
/** The escapes that `JSON.stringify` writes for the usual characters: of quote, backslash, b, f, n, r and t. */
const USUAL_ESCAPES = new Uint8Array(256);
for (const letter of Buffer.from('"\\bfnrt')) USUAL_ESCAPES[letter] = 1;

/**
 * Where a text ends as JSON, closing quote included.
 * @param start where `findText` saw it begin
 * @param limit where its line ends, exclusive
 * @returns -1 where `JSON.stringify` would write the text otherwise, where it may hold reasoning, or where the line is
 *   damaged. That the bytes are UTF-8 is left to the caller, who can look at many texts at once.
 */
export function endOfText(bytes: Buffer, start: number, limit: number): number {
  let at = start + 1;
  if (mayBeginWithReasoning(bytes, at)) return -1;
  for (;;) {
    at = skipOrdinary(bytes, at, limit);
    if (at >= limit) return -1;
    const kind = KINDS[bytes[at] as number];
    if (kind === FORBIDDEN) return -1;
    if (kind === ENDS) {
      const next = bytes[at + 1];
      const isEnd = next === COMMA || next === CLOSING_BRACE;
      return isEnd && !(bytes[at - 1] === TAG_END && endsClosingTag(bytes, at)) ? at + 1 : -1;
    }
    // Where the template opened it, reasoning is known by its closing tag alone, which borders a line break.
    if ((bytes[at - 1] === TAG_END || bytes[at + 2] === TAG_START) && isBesideClosingTag(bytes, at))
      return -1;
    if (USUAL_ESCAPES[bytes[at + 1] ?? 0] !== 1) return -1;
    at += 2;
  }
}

/** The next byte that is not `ORDINARY`, or `limit`. Looking at four bytes together takes a third of the time. */
function skipOrdinary(bytes: Buffer, start: number, limit: number): number {
  const { byteOffset } = bytes;
  let at = start;
  for (; at < limit && ((byteOffset + at) & 3) !== 0; at++) {
    if (KINDS[bytes[at] as number] !== ORDINARY) return at;
  }
  const words = wordsBehind(bytes);
  const lastWord = (byteOffset + limit) >> 2;
  let index = (byteOffset + at) >> 2;
  for (; index < lastWord; index++) {
    const word = words[index] as number;
    const control = (word - 0x20202020) & ~word & 0x80808080;
    if ((zeroByte(word ^ 0x22222222) | zeroByte(word ^ 0x5c5c5c5c) | control) !== 0) break;
  }
  at = Math.max(at, (index << 2) - byteOffset);
  while (at < limit && KINDS[bytes[at] as number] === ORDINARY) at += 1;
  return at;
}
