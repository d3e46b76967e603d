/**
 * A quick look at a line of the journal, `[request, response, {"request_idx":N}]`: it is either right or gives
 * up, and costs a fraction of parsing. Nearly every line is an ordinary answer in OpenAI's order of fields, as this
 * program or Python's `json.dumps` writes it. `journal-line.ts` reads the others.
 */

import { matchesAt } from '../lib/bytes.js';
import { parseJson } from '../lib/json.js';
import { PRICED_TIERS, type ServiceTier } from '../models/service-tiers.js';
import { fullyReported } from '../models/usage-estimate.js';
import { MOST_TOKENS, plainUsage as usageOf, readUsage, type Usage } from '../models/usage.js';
import type { JobPart } from '../requests/processor.js';
import { findPart } from './line-part.js';
import { findOrigin, type Origin } from './origin.js';

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
 * A quick look at lines of a journal, one after the other. What it notes beside a method's result, and what it compares
 * the next line with, are its fields: an object for each line would cost as much as the look itself.
 *
 * Lines of a run differ in their texts and in three numbers, so what the line before had between its text and its
 * numbers, and after them, is compared as a whole first: that takes half the time.
 */
export class LineScanner {
  /** From the text's closing quote to the first number, both as they have been understood once. */
  private middle: Buffer = NOTHING;
  /** From the last number to the response's end. */
  private rest: { bytes: Buffer; cachedTokens: number; reasoningTokens: number; tier: ServiceTier } = {
    bytes: NOTHING,
    cachedTokens: 0,
    reasoningTokens: 0,
    tier: 'standard',
  };
  /** The row of the line whose end was looked at last, its part of that row, and where its answer comes from. */
  private row = 0;
  private part: JobPart | null = null;
  private origin: Origin | null = null;
  /** The model's name, kept from line to line: nearly always it is the same. */
  private model = { bytes: NOTHING, name: '' };
  /** Where the number begins that was read last. */
  private numberStart = 0;

  /**
   * Looks at the end of a line. Only for runs that ask for one choice.
   * @param start where the line begins in `bytes`
   * @param end where it ends, exclusive
   * @returns null where the line has to be parsed: a failure, any state but `ok`, another order of fields, damage
   */
  peek(bytes: Buffer, start: number, end: number): PeekedLine | null {
    const responseEnd = this.endOfResponse(bytes, start, end);
    // Only runs that ask once for a row are looked at here.
    if (responseEnd === -1 || this.part !== null) return null;
    const row = this.row;
    const origin = this.origin;
    const usage = fullyReported(
      this.readAsBefore(bytes, start, responseEnd) ?? this.readAnew(bytes, start, responseEnd),
    );
    return usage === null ? null : { row, usage, tier: this.rest.tier, origin };
  }

  /** The row whose one answer a line is, by its end; null where it does not end as such lines of the journal do. */
  rowOf(bytes: Buffer, start: number, end: number): number | null {
    return this.endOfResponse(bytes, start, end) === -1 || this.part !== null ? null : this.row;
  }

  /** The row that a line is about, with all of its answers or one of them, by its end; null where it is no line of a journal. */
  rowAbout(bytes: Buffer, start: number, end: number): number | null {
    return this.endOfContent(bytes, start, end) === -1 ? null : this.row;
  }

  /**
   * Where the request and its response end, exclusive, if the line continues with `,{"request_idx":N}]`; -1 otherwise. They
   * begin behind the line's first bracket.
   */
  endOfContent(bytes: Buffer, start: number, end: number): number {
    let at = end - 1;
    if (bytes[at] !== CLOSING_BRACKET || bytes[at - 1] !== CLOSING_BRACE) return -1;
    const row = this.numberBefore(bytes, at - 1);
    if (row === -1) return -1;
    at = beforeSpace(bytes, this.numberStart - 1);
    this.origin = null;
    this.part = null;
    if (matchesAt(bytes, REQUEST_IDX, at + 1 - REQUEST_IDX.length)) {
      this.row = row;
      at -= REQUEST_IDX.length;
    } else {
      at = this.beforeLongMetadata(bytes, start, at, row);
      if (at === -1) return -1;
    }
    at = beforeSpace(bytes, at);
    return at > start + 1 && bytes[at] === COMMA ? at : -1;
  }

  /**
   * Finds the text of an answer whose state is `ok`.
   * @param start where its line begins in `bytes`
   * @param end where to stop looking, exclusive
   * @returns null where the parser has to look, for instance because the text is empty
   */
  findText(bytes: Buffer, start: number, end: number): FoundText | null {
    const line = bytes.subarray(start, end);
    let introduction = COMPACT;
    let found = line.indexOf(introduction);
    if (found === -1) {
      introduction = SPACED;
      found = line.indexOf(introduction);
    }
    if (found === -1) return null;
    const choicesAt = beforeSpace(bytes, start + found - 1) + 1 - CHOICES.length;
    const model = matchesAt(bytes, CHOICES, choicesAt) ? this.modelBefore(bytes, choicesAt) : null;
    const text = start + found + introduction.length - 1;
    return model === null || bytes[text + 1] === QUOTE ? null : { model, start: text };
  }

  /** The usage of a line that has the same keys and values as the one before; null for any other. */
  private readAsBefore(bytes: Buffer, start: number, responseEnd: number): Usage | null {
    if (this.middle.length === 0) return null;
    const rest = this.rest.bytes;
    let at = responseEnd - rest.length;
    if (at <= start || bytes.compare(rest, 0, rest.length, at, responseEnd) !== 0) return null;
    const totalTokens = this.numberBefore(bytes, at);
    at = this.numberStart - COMPACT_TOTAL.length;
    if (totalTokens === -1 || !matchesAt(bytes, COMPACT_TOTAL, at)) return null;
    const completionTokens = this.numberBefore(bytes, at);
    at = this.numberStart - COMPACT_COMPLETION.length;
    if (completionTokens === -1 || !matchesAt(bytes, COMPACT_COMPLETION, at)) return null;
    const promptTokens = this.numberBefore(bytes, at);
    const promptAt = this.numberStart;
    at = promptAt - this.middle.length;
    // Right after another quote the text's closing one would be its opening one.
    if (promptTokens === -1 || at <= start || bytes[at - 1] === QUOTE) return null;
    if (bytes.compare(this.middle, 0, this.middle.length, at, promptAt) !== 0) return null;
    return this.plainUsage(promptTokens, completionTokens, totalTokens);
  }

  /** Counts that mean what they mean at OpenAI; null where another dialect gives them another meaning. */
  private plainUsage(promptTokens: number, completionTokens: number, totalTokens: number): Usage | null {
    const { cachedTokens, reasoningTokens } = this.rest;
    if (totalTokens !== promptTokens + completionTokens || cachedTokens > promptTokens) return null;
    if (totalTokens > MOST_TOKENS) return null;
    return usageOf(promptTokens, completionTokens, cachedTokens, Math.min(reasoningTokens, completionTokens));
  }

  private readAnew(bytes: Buffer, start: number, responseEnd: number): Usage | null {
    const finishAt = bytes.subarray(start, responseEnd).lastIndexOf(FINISH_REASON) + start;
    if (finishAt < start) return null;
    const choicesEnd = endOfChoices(bytes, finishAt);
    if (choicesEnd === -1) return null;
    const usageAt = findUsage(bytes, choicesEnd, responseEnd);
    const usage =
      usageAt === -1
        ? null
        : (this.readUsageAt(bytes, usageAt, responseEnd) ?? this.parseUsageAt(bytes, usageAt, responseEnd));
    // The tier may be before the usage.
    if (usage === null || bytes.subarray(choicesEnd, usageAt).includes(SERVICE_TIER)) return null;
    const textEnd = endOfTextBefore(bytes, finishAt);
    if (textEnd === -1) return this.isPlainAnswer(bytes, start, finishAt) ? usage : null;
    const promptAt = usageAt + USAGE.length + PROMPT_TOKENS.length;
    const isCompact = isDigit(bytes[promptAt]) && matchesAt(bytes, PROMPT_TOKENS, usageAt + USAGE.length);
    if (isCompact) this.middle = Buffer.from(bytes.subarray(textEnd, promptAt));
    return usage;
  }

  /** True where there is a text and, between it and the finish reason, no error of the choice. */
  private isPlainAnswer(bytes: Buffer, start: number, finishAt: number): boolean {
    const text = this.findText(bytes, start, finishAt);
    return text !== null && !bytes.subarray(text.start, finishAt).includes(ERROR);
  }

  /** Where the response ends, exclusive, if it is an object and the line's metadata follow; -1 otherwise. Notes both. */
  private endOfResponse(bytes: Buffer, start: number, end: number): number {
    const at = this.endOfContent(bytes, start, end);
    return at !== -1 && bytes[at - 1] === CLOSING_BRACE ? at : -1;
  }

  /**
   * The same where there is more in the metadata than the row.
   * @param at the last byte of the key of the last number
   */
  private beforeLongMetadata(bytes: Buffer, start: number, at: number, last: number): number {
    let key = at;
    this.row = last;
    const part = findPart(bytes, key + 1, last);
    if (part !== null) {
      this.part = part.part;
      this.row = this.numberBefore(bytes, part.start);
      if (this.row === -1) return -1;
      key = this.numberStart - 1;
      if (matchesAt(bytes, REQUEST_IDX, key + 1 - REQUEST_IDX.length)) return key - REQUEST_IDX.length;
    }
    const before = key + 1 - LATER_REQUEST_IDX.length;
    const found = matchesAt(bytes, LATER_REQUEST_IDX, before) ? findOrigin(bytes, start, before + 1) : null;
    if (found === null) return -1;
    this.origin = found.origin;
    return found.start - 1;
  }

  private readUsageAt(bytes: Buffer, usageAt: number, end: number): Usage | null {
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
    if (totalTokens === null || !this.readRest(bytes, afterDigits(bytes, at), end)) return null;
    return this.plainUsage(promptTokens, completionTokens, totalTokens);
  }

  /**
   * Parses the usage object alone, which is short: it states a cost, or its counts are of another dialect. Nothing of it
   * is kept for the next line.
   */
  private parseUsageAt(bytes: Buffer, usageAt: number, end: number): Usage | null {
    this.middle = NOTHING;
    const from = afterSpace(bytes, usageAt + USAGE.length);
    const to = endOfObject(bytes, from, Math.min(end, from + LONGEST_USAGE));
    if (to === -1) return null;
    const rest = bytes.subarray(to, end);
    // Of two keys of one name the last counts.
    if (rest.includes(USAGE)) return null;
    this.rest = { bytes: NOTHING, cachedTokens: 0, reasoningTokens: 0, tier: tierIn(rest) };
    return readUsage(parseJson(bytes.toString('utf8', from, to)));
  }

  /** Reads what follows the numbers into `this.rest`; false where the parser has to. */
  private readRest(bytes: Buffer, from: number, end: number): boolean {
    const cachedTokens = cachedTokensIn(bytes, from, end);
    const rest = bytes.subarray(from, end);
    const reasoningTokens = reasoningTokensIn(rest);
    if (cachedTokens === null || reasoningTokens === null) return false;
    this.rest = { bytes: Buffer.from(rest), cachedTokens, reasoningTokens, tier: tierIn(rest) };
    return true;
  }

  /** The model where it is right before the choices, as OpenAI and most others write it. */
  private modelBefore(line: Buffer, choicesAt: number): string | null {
    let at = beforeSpace(line, choicesAt - 1);
    if (line[at] !== COMMA || line[at - 1] !== QUOTE) return null;
    const end = at - 1;
    const { bytes, name } = this.model;
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
    this.model = {
      bytes: Buffer.from(line.subarray(at + 1, end)),
      name: line.toString('latin1', at + 1, end),
    };
    return this.model.name;
  }

  /** The whole number whose digits end before a place, as JSON writes it; -1 for anything else. Notes where it begins. */
  private numberBefore(line: Buffer, end: number): number {
    let value = 0;
    let unit = 1;
    let at = end - 1;
    for (let byte = line[at] as number; byte >= ZERO && byte <= NINE; byte = line[at] as number) {
      value += (byte - ZERO) * unit;
      unit *= 10;
      at -= 1;
    }
    this.numberStart = at + 1;
    const digits = end - this.numberStart;
    return digits === 0 || digits > LONGEST_NUMBER || (digits > 1 && line[this.numberStart] === ZERO)
      ? -1
      : value;
  }
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
 * Where a text that is not empty ends, at its closing quote, right before what usually comes between it and the
 * finish reason; -1 where something else is there.
 */
function endOfTextBefore(bytes: Buffer, finishAt: number): number {
  const after = AFTER_TEXT.find((one) => matchesAt(bytes, one, finishAt - one.length));
  const closing = finishAt - (after?.length ?? finishAt + 1);
  // Right after another quote only an escaped one would not be the opening one.
  return closing > 1 && bytes[closing - 1] !== QUOTE ? closing : -1;
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
