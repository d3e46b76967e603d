/**
 * Hides secrets (API keys, tokens, passwords) in everything that comes in or goes out: as they are, with escapes of
 * JSON, URLs and HTML in any mixture and depth, in hexadecimal and in base64.
 *
 * Answers are cleaned as soon as they are complete and before anything is cut from them, so that what is derived from them
 * (messages, figures, rows, files) has no secret to begin with; messages are cleaned again before they are shown.
 */

import { isPlainObject, parseJson } from '../lib/json.js';
import { FastTest } from './fast-test.js';
import { Readings } from './readings.js';
import { isHidden, type Secret } from './secret.js';
import { SpellingTree, type Needle, type Range } from './spelling-tree.js';
import { spellingsOf } from './spellings.js';
import { mayHaveTokens, withoutTokens } from './token-lists.js';

const REDACTED = '[redacted]';
const NEWLINE = 0x0a;
const COMMA = 0x2c;
/**
 * Texts are searched in pieces of this many characters, so that their escapes need no memory of their size, and a text in
 * which there is an escape now and then is searched around it alone.
 */
const PIECE = 1 << 14;
/**
 * Characters of pieces under suspicion that are searched at most; more take longer than Ctrl-C may wait. That is four
 * times the longest text that a model writes, with an escape that matters in every piece of it.
 */
const MOST_SEARCHED = 1 << 22;
/** How many characters take as long as one way of reading an escape. */
const READING_COSTS = 8;
/** Characters that one of a spelling may be written with: `\\\\\\\\u0025…`. */
const LONGEST_ESCAPE = 16;

const MOST_CLEAN_NAMES = 256;

/** A text has too many escapes, or beginnings of keys, to be searched in reasonable time. */
export class Unsearchable extends RangeError {
  override readonly name = 'Unsearchable';

  constructor() {
    super('has too many escapes to be searched for keys');
  }
}

export class Redactor {
  #needles: Needle[] = [];
  #test: FastTest | null = null;
  /** Made when a text is first suspected. */
  #tree: SpellingTree | null = null;
  /** Names of fields that hold no secret. */
  readonly #cleanNames = new Set<string>();
  /** Characters that a spelling may take, escapes included. */
  #longest = 0;
  /** Characters that were searched for the present call. */
  #searched = 0;

  /** @param secrets values that are too short or too ordinary to be secrets are left out; see `isHidden` */
  constructor(secrets: Iterable<Secret> = []) {
    this.add(secrets);
  }

  /** Learns more secrets. */
  add(secrets: Iterable<Secret>): void {
    const known = new Map(this.#needles.map((needle) => [needle.text, needle]));
    const before = known.size;
    for (const { value, source } of secrets) {
      if (!isHidden(value)) continue;
      for (const spelling of spellingsOf(value)) {
        if (!known.has(spelling.text)) known.set(spelling.text, { ...spelling, source });
      }
    }
    if (known.size === before) return;
    this.#needles = [...known.values()];
    this.#test = new FastTest(this.#needles);
    this.#tree = null;
    this.#cleanNames.clear();
    this.#longest = Math.max(...this.#needles.map(({ text }) => text.length)) * LONGEST_ESCAPE;
  }

  /** The text with every secret replaced by `[redacted]`; all of it is where it cannot be searched. */
  text(text: string): string {
    this.#searched = 0;
    try {
      return this.#cleanText(text);
    } catch (error) {
      if (error instanceof Unsearchable) return REDACTED;
      throw error;
    }
  }

  #cleanText(text: string): string {
    return this.#test?.text(text) === true ? replaced(text, this.#find(text)) : text;
  }

  /** Where the first secret of a text comes from, such as `OPENAI_API_KEY`; null where it holds none. */
  sourceIn(text: string): string | null {
    this.#searched = 0;
    return this.#sourceIn(text);
  }

  #sourceIn(text: string): string | null {
    return this.#test?.text(text) === true ? (this.#find(text)[0]?.source ?? null) : null;
  }

  /**
   * The same for bytes of UTF-8, which stay valid JSON where they are; the buffer itself where it holds no secret.
   * @throws Unsearchable
   */
  bytes(bytes: Buffer): Buffer {
    this.#searched = 0;
    if (this.#test?.bytes(bytes) !== true) return bytes;
    const text = bytes.toString('utf8');
    const clean = replaced(text, this.#find(text));
    if (clean === text) return bytes;
    const isJson = parseJson(clean) !== undefined;
    // A secret with quotes in it may have been found across the ends of strings.
    const isBroken = !isJson && parseJson(text) !== undefined;
    const isRewritten = isBroken || (isJson && mayHaveTokens(clean));
    return Buffer.from(isRewritten ? this.#rewritten(isBroken ? text : clean, clean) : clean, 'utf8');
  }

  /**
   * The same for lines of JSON that were cleaned before, unless an earlier version of this program wrote them: the look
   * is a quick one (`FastTest.sparsely`). A comma may follow each. Texts in a line that cannot be searched are replaced
   * as a whole.
   */
  lines(lines: Buffer): Buffer {
    if (this.#test?.sparsely(lines) !== true) return lines;
    const clean: Buffer[] = [];
    for (let start = 0; start < lines.length;) {
      const newline = lines.indexOf(NEWLINE, start);
      const end = newline === -1 ? lines.length : newline;
      const textEnd = lines[end - 1] === COMMA && end > start ? end - 1 : end;
      const next = Math.min(end + 1, lines.length);
      clean.push(this.#line(lines.subarray(start, textEnd)), lines.subarray(textEnd, next));
      start = next;
    }
    return Buffer.concat(clean);
  }

  #line(line: Buffer): Buffer {
    try {
      return this.bytes(line);
    } catch (error) {
      if (!(error instanceof Unsearchable)) throw error;
      const value: unknown = parseJson(line.toString('utf8'));
      return Buffer.from(value === undefined ? REDACTED : JSON.stringify(this.#eachText(value)));
    }
  }

  /** Every text of a JSON value searched on its own; one that cannot be is replaced. */
  #eachText(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((item) => this.#eachText(item));
    if (!isPlainObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [this.text(name), this.#eachText(item)]),
    );
  }

  #rewritten(json: string, otherwise: string): string {
    try {
      return JSON.stringify(withoutTokens(this.#clean(parseJson(json))));
    } catch (error) {
      if (error instanceof Unsearchable) throw error;
      // Nested deeper than the stack is. Without its secrets it is no JSON, and no answer.
      return otherwise;
    }
  }

  /**
   * The same for the strings, names and numbers of a JSON value; the value itself where it holds no secret.
   * @throws Unsearchable
   */
  value<Value>(value: Value): Value {
    this.#searched = 0;
    if (!this.#isSuspicious(value)) return value;
    const clean = this.#clean(value) as Value;
    return clean === value ? value : (withoutTokens(clean) as Value);
  }

  /** The same for what is shown: a text that cannot be searched is replaced as a whole. */
  shown<Value>(value: Value): Value {
    try {
      return this.value(value);
    } catch (error) {
      if (error instanceof Unsearchable) return this.#eachText(value) as Value;
      throw error;
    }
  }

  /** Whether a value may hold a secret, without making anything: nearly none does, and there is one for each row. */
  #isSuspicious(value: unknown): boolean {
    if (this.#test === null) return false;
    if (typeof value === 'string') return this.#test.text(value);
    if (typeof value === 'number') return this.#test.text(String(value));
    if (Array.isArray(value)) {
      for (const item of value as unknown[]) if (this.#isSuspicious(item)) return true;
      return false;
    }
    if (!isPlainObject(value)) return false;
    for (const name in value)
      if (this.#isSuspiciousName(name) || this.#isSuspicious(value[name])) return true;
    return false;
  }

  /** The same few names come with every row. */
  #isSuspiciousName(name: string): boolean {
    if (this.#cleanNames.has(name)) return false;
    if (this.#test?.text(name) === true) return true;
    if (this.#cleanNames.size < MOST_CLEAN_NAMES) this.#cleanNames.add(name);
    return false;
  }

  #clean(value: unknown): unknown {
    if (typeof value === 'string') return this.#cleanText(value);
    if (typeof value === 'number') return this.#sourceIn(String(value)) === null ? value : REDACTED;
    if (Array.isArray(value)) {
      const items = value as unknown[];
      const clean = items.map((item) => this.#clean(item));
      return clean.some((item, index) => item !== items[index]) ? clean : items;
    }
    if (!isPlainObject(value)) return value;
    const entries = Object.entries(value);
    const clean = entries.map(([name, item]): [string, unknown] => [
      this.#cleanText(name),
      this.#clean(item),
    ]);
    const isSame = clean.every(
      ([name, item], index) => name === entries[index]?.[0] && item === entries[index][1],
    );
    return isSame ? value : Object.fromEntries(clean);
  }

  /** The headers of an answer. */
  headers<Headers extends Record<string, string | string[] | undefined>>(headers: Headers): Headers {
    return this.value({ ...headers });
  }

  /**
   * All places of secrets, in order and apart from each other.
   * @throws Unsearchable
   */
  #find(text: string): Range[] {
    const tree = (this.#tree ??= new SpellingTree(this.#needles));
    if (text.length <= PIECE + this.#longest) return merged(this.#search(tree, text));
    const ranges: Range[] = [];
    // What begins in a piece may end in the next.
    for (let offset = 0; offset < text.length; offset += PIECE) {
      const piece = text.slice(offset, offset + PIECE + this.#longest);
      if (this.#test?.text(piece) !== true) continue;
      for (const { start, end, source } of this.#search(tree, piece))
        ranges.push({ start: offset + start, end: offset + end, source });
    }
    return merged(ranges);
  }

  #search(tree: SpellingTree, piece: string): Range[] {
    const readings = new Readings(piece);
    this.#searched += piece.length + READING_COSTS * readings.size;
    if (this.#searched > MOST_SEARCHED) throw new Unsearchable();
    return tree.find(readings);
  }
}

/** No secrets are known. */
export const NO_SECRETS = new Redactor();

function merged(ranges: Range[]): Range[] {
  const result: Range[] = [];
  for (const range of ranges.sort((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last !== undefined && range.start < last.end) last.end = Math.max(last.end, range.end);
    else result.push({ ...range });
  }
  return result;
}

function replaced(text: string, ranges: readonly Range[]): string {
  const parts: string[] = [];
  let from = 0;
  for (const { start, end } of ranges) {
    parts.push(text.slice(from, start), REDACTED);
    from = end;
  }
  return ranges.length === 0 ? text : parts.join('') + text.slice(from);
}
