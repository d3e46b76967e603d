/** Finding one's way through JSON without parsing it: a tenth of the cost where only names or borders are wanted. */

import { matchesAt } from './bytes.js';
import { isObject, parseLenient } from './json.js';
import { count } from './text.js';

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
const BACKSLASH = 0x5c;

/** Distinct names that are kept: a table has hundreds of columns at most, a hostile file millions of names. */
export const MOST_COLUMNS = 10_000;

/** @param file its name, sanitized */
export function manyColumnsWarning(file: string): string {
  const most = count(MOST_COLUMNS);
  return `${file} has more than ${most} different columns; only the first ${most} can be used.`;
}

/** Where the first byte from `at` on is that is not white space; `bytes.length` where there is none. */
export function skipSpace(bytes: Uint8Array, at: number): number {
  let next = at;
  for (; next < bytes.length; next++) {
    const byte = bytes[next];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
  }
  return next;
}

/** Where the string ends, exclusive, whose opening quote is at `at`; -1 where the bytes end first. */
export function endOfString(bytes: Buffer, at: number): number {
  for (let from = at + 1; ;) {
    const quote = bytes.indexOf(QUOTE, from);
    if (quote === -1) return -1;
    let before = quote - 1;
    while (before > at && bytes[before] === BACKSLASH) before -= 1;
    if ((quote - before) % 2 === 1) return quote + 1;
    from = quote + 1;
  }
}

/**
 * Where the value ends, exclusive, that starts at `at`; -1 where the bytes end first (as they do for a number at their
 * very end, which may continue).
 */
export function endOfValue(bytes: Buffer, at: number): number {
  const first = bytes[at];
  if (first === QUOTE) return endOfString(bytes, at);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return endOfWord(bytes, at);
  let depth = 0;
  for (let next = at; next < bytes.length; next++) {
    const byte = bytes[next];
    if (byte === QUOTE) {
      const end = endOfString(bytes, next);
      if (end === -1) return -1;
      next = end - 1;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1;
      if (depth === 0) return next + 1;
    }
  }
  return -1;
}

/** Passes over a value that comes in pieces, none of which has to be kept. */
export class ValueScanner {
  #depth = 0;
  #isInString = false;
  /** The next character is escaped. */
  #isEscaped = false;

  /** Where the value ends, exclusive, in the next piece of it from `at` on; -1 where the piece ends first. */
  endIn(bytes: Buffer, at: number): number {
    for (let next = at; next < bytes.length; next++) {
      if (this.#isInString) {
        next = this.#endOfString(bytes, next);
        if (next === -1) return -1;
        this.#isInString = false;
        if (this.#depth === 0) return next;
        next -= 1;
        continue;
      }
      const byte = bytes[next] ?? 0;
      if (byte === QUOTE) this.#isInString = true;
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#depth += 1;
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        // Of a number or a word, what surrounds it closes.
        if (this.#depth === 0) return next;
        this.#depth -= 1;
        if (this.#depth === 0) return next + 1;
      } else if (this.#depth === 0 && (byte === COMMA || byte <= 0x20)) return next;
    }
    return -1;
  }

  #endOfString(bytes: Buffer, at: number): number {
    let from = this.#isEscaped ? at + 1 : at;
    this.#isEscaped = false;
    for (;;) {
      const quote = bytes.indexOf(QUOTE, from);
      const end = quote === -1 ? bytes.length : quote;
      let before = end - 1;
      while (before >= from && bytes[before] === BACKSLASH) before -= 1;
      const isOdd = (end - before) % 2 === 0;
      if (quote === -1) {
        this.#isEscaped = isOdd;
        return -1;
      }
      if (!isOdd) return quote + 1;
      from = quote + 1;
    }
  }
}

/** The end of a number or a word such as `null`. */
function endOfWord(bytes: Buffer, at: number): number {
  for (let next = at; next < bytes.length; next++) {
    const byte = bytes[next] ?? 0;
    if (byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte <= 0x20) return next;
  }
  return -1;
}

/** Learns the names at the top of objects; for rows whose names were seen before this costs little more than a look. */
export class ColumnNames {
  readonly #names = new Set<string>();
  /** Names with their quotes, in the order of the object before: rows of a file mostly look alike. */
  readonly #expected: { quoted: Buffer; name: string }[] = [];
  #isFull = false;

  /** In order of first appearance. */
  get names(): string[] {
    return [...this.#names];
  }

  /** True where the file has more names than are kept. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Takes the names of an object, which begins at the first byte; names of broken JSON do not count. */
  learn(object: Buffer): void {
    if (!this.#knowsAll(object)) this.#learnByParsing(object);
  }

  #knowsAll(object: Buffer): boolean {
    let at = skipSpace(object, 0);
    if (object[at] !== OPEN_BRACE) return true;
    at = skipSpace(object, at + 1);
    for (let place = 0; object[at] === QUOTE; place++) {
      const end = this.#knownName(object, at, place);
      if (end === -1) return false;
      at = skipSpace(object, end);
      if (object[at] !== COLON) return true;
      const valueEnd = endOfValue(object, skipSpace(object, at + 1));
      if (valueEnd === -1) return true;
      at = skipSpace(object, valueEnd);
      if (object[at] !== COMMA) return true;
      at = skipSpace(object, at + 1);
    }
    return true;
  }

  /** The end of the name at `at` where it is known; -1 where it is not. */
  #knownName(object: Buffer, at: number, place: number): number {
    const expected = this.#expected[place];
    if (expected !== undefined && matchesAt(object, expected.quoted, at)) return at + expected.quoted.length;
    const end = endOfString(object, at);
    if (end === -1) return object.length;
    const quoted = Buffer.from(object.subarray(at, end));
    const name = parsedName(quoted);
    if (name === null || !this.#names.has(name)) return this.#isFull ? end : -1;
    if (place <= this.#expected.length) this.#expected[place] = { quoted, name };
    return end;
  }

  #learnByParsing(object: Buffer): void {
    let value: unknown;
    try {
      value = parseLenient(object.toString('utf8'));
    } catch {
      return;
    }
    if (!isObject(value)) return;
    for (const name of Object.keys(value)) {
      if (this.#names.size >= MOST_COLUMNS) this.#isFull = true;
      else this.#names.add(name);
    }
  }
}

function parsedName(quoted: Buffer): string | null {
  try {
    return JSON.parse(quoted.toString('utf8')) as string;
  } catch {
    return null;
  }
}

/** A value takes two bytes at least, with its comma. */
const FEWEST_BYTES_A_VALUE = 2;

/**
 * True for JSON with more values than a bound, counted roughly: every comma, colon and opening bracket outside of strings
 * is one. A megabyte of `[],[],` takes thirty times its size once it is parsed, and nobody needs it; text is not counted,
 * however long. What is short enough is not looked at.
 */
export function holdsMoreValues(bytes: Buffer, most: number): boolean {
  if (bytes.length <= most * FEWEST_BYTES_A_VALUE) return false;
  let values = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      const end = endOfString(bytes, at);
      if (end === -1) return false;
      at = end - 1;
    } else if (byte === COMMA || byte === COLON || byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      values += 1;
      if (values > most) return true;
    }
  }
  return false;
}
