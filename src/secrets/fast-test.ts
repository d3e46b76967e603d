/**
 * Whether a text may hold a secret, in a fraction of a microsecond a kilobyte: nearly every answer holds none.
 *
 * Wherever a spelling of at least `m` characters occurs, every stretch of `m - 3` places in it begins four characters of
 * its own. So it is enough to look at four characters in every `m - 3` (Wu and Manber, "A fast algorithm for
 * multi-pattern searching", 1994). Escapes hide characters from that, so a text is also suspicious where an escape
 * encodes a character that a spelling has.
 */

import type { Spelling } from './spellings.js';

/** Characters that are looked at together. */
const GRAM = 4;
/** Longer strides win nothing. */
const LONGEST_STRIDE = 28;
/** Folds upper and lower case of ASCII letters; whatever else it folds costs a closer look. */
const FOLD = 0x20202020;
/** The same for one character. */
const CASE = 0x20;

const BACKSLASH = 0x5c;
const PERCENT = 0x25;
const AMPERSAND = 0x26;
const HASH = 0x23;
const SLASH = 0x2f;
const QUOTE = 0x22;
const LETTER_U = 0x75;
const ZERO = 0x30;
const SEMICOLON = 0x3b;
const LETTER_P = 0x70;
/** Words of four bytes from one look to the next at most. No number of bytes is a multiple of six, the length of `\\u0073`. */
const SPARSE_WORDS = [7, 5, 4, 2, 1];
/** Characters of a secret that no other text has. */
const TELLING_LENGTH = 8;
const DIGITS = Array.from('0123456789abcdef');
/**
 * What a look may find of `\\u0073\\u006b…`, so that of three looks at such a row one finds the beginning of an escape. The
 * other three of its six places have none in them.
 */
const ESCAPE_GRAMS = [
  '\\u00',
  ...DIGITS.flatMap((digit) => [`${digit}\\u0`, ...DIGITS.map((before) => `${before}${digit}\\u`)]),
];
/** Characters that HTML has names for. */
const NAMED = Buffer.from('"&<>\'');

/** How the escapes begin that are looked at: without any of them, nothing can be hidden. */
interface Mark {
  text: string;
  /** A single byte is found four times as fast as a number. */
  bytes: Buffer | number;
}

export class FastTest {
  readonly #grams = new Set<number>();
  /** By a hash of sixteen bits, so that a look into the set is seldom needed. */
  readonly #hashes = new Uint8Array(1 << 16);
  readonly #stride: number;
  /** What `sparsely` looks for: these, and every four characters of the secrets as they are. */
  readonly #sparseGrams = new Map<number, { spelling: Buffer; offset: number }[]>();
  readonly #sparseWords: number;
  /** A bit for each hash, which stays in the processor's nearest cache. */
  readonly #sparseHashes = new Uint32Array(1 << 11);
  /** Codes below 256 that are in a spelling, and those that begin another escape. */
  readonly #telling = new Uint8Array(256);
  readonly #marks: Mark[];
  /** True where a spelling has a character that HTML writes by its name. */
  readonly #hasNamed: boolean;
  /** The same for JSON, which writes a backslash as two. */
  readonly #hasBackslash: boolean;

  constructor(spellings: readonly Spelling[]) {
    const texts = spellings.flatMap(({ text, anyCase }) => (anyCase ? [text, text.toUpperCase()] : [text]));
    const all = texts.flatMap((text) => [Buffer.from(text, 'utf8'), Buffer.from(text, 'latin1')]);
    const shortest = Math.min(...all.map(({ length }) => length));
    this.#stride = Math.min(LONGEST_STRIDE, shortest - GRAM + 1);
    for (const bytes of all) {
      // A spelling's end is more distinctive than its beginning, which is often the same for all keys of a provider.
      const end = bytes.length - GRAM;
      for (let at = end; at > end - this.#stride; at--) this.#addGram(bytes, at);
      for (const code of bytes) this.#telling[code] = 1;
    }
    this.#sparseWords = SPARSE_WORDS.find((words) => words * GRAM <= this.#stride) ?? 1;
    for (const text of ESCAPE_GRAMS) this.#noteSparse(Buffer.from(text).readUInt32LE(0) | FOLD);
    for (const { text, isItself } of spellings) {
      const bytes = Buffer.from(text);
      const first = isItself ? 0 : Math.max(0, bytes.length - GRAM - this.#stride + 1);
      for (let at = first; at <= bytes.length - GRAM; at++) this.#addSparseGram(bytes, at);
    }
    this.#hasNamed = NAMED.some((code) => this.#telling[code] === 1);
    this.#hasBackslash = this.#telling[BACKSLASH] === 1;
    this.#marks = this.#marksToLookFor().map((text) => ({
      text,
      bytes: text.length === 1 ? text.charCodeAt(0) : Buffer.from(text),
    }));
    // `%26quot%3B`
    if (this.#hasNamed) this.#telling[AMPERSAND] = 1;
    // They begin another escape.
    for (const code of [BACKSLASH, PERCENT]) this.#telling[code] = 1;
  }

  #marksToLookFor(): string[] {
    return [
      '\\u00',
      '%',
      this.#hasNamed ? '&' : '&#',
      // `&amp;#115;`
      ';#',
      ...(this.#telling[SLASH] === 1 ? ['\\/'] : []),
      ...(this.#telling[QUOTE] === 1 ? ['\\"'] : []),
      ...(this.#hasBackslash ? ['\\\\'] : []),
    ];
  }

  #addSparseGram(spelling: Buffer, offset: number): void {
    const gram = spelling.readUInt32LE(offset) | FOLD;
    this.#noteSparse(gram);
    const known = this.#sparseGrams.get(gram);
    if (known === undefined) this.#sparseGrams.set(gram, [{ spelling, offset }]);
    else known.push({ spelling, offset });
  }

  #noteSparse(gram: number): void {
    const hash = hashOf(gram);
    this.#sparseHashes[hash >>> 5] = (this.#sparseHashes[hash >>> 5] ?? 0) | (1 << (hash & 31));
  }

  #addGram(bytes: Buffer, at: number): void {
    const gram = bytes.readUInt32LE(at) | FOLD;
    this.#grams.add(gram);
    this.#hashes[hashOf(gram)] = 1;
  }

  /**
   * A quicker look at large amounts of JSON that hardly ever hold a secret: it is true where 19 characters of one, or all
   * of a shorter one, are written as they are, and where one is in escapes of JSON throughout. `bytes` finds all.
   */
  sparsely(bytes: Buffer): boolean {
    const hashes = this.#sparseHashes;
    const step = this.#sparseWords;
    const toWord = -bytes.byteOffset & 3;
    const length = (bytes.length - toWord) >> 2;
    if (length <= 0) return this.bytes(bytes);
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + toWord, length);
    for (let at = 0; at < length; at += step) {
      const gram = (words[at] ?? 0) | FOLD;
      const hash = hashOf(gram);
      const mayBe = (((hashes[hash >>> 5] ?? 0) >>> (hash & 31)) & 1) === 1;
      if (!mayBe) continue;
      const place = toWord + at * GRAM;
      if (this.#isLong(bytes, place, gram) || hasEscape(bytes, place)) return true;
    }
    return false;
  }

  /** Whether four characters are among more that a spelling has: words have some of them by chance. */
  #isLong(bytes: Buffer, at: number, gram: number): boolean {
    const known = this.#sparseGrams.get(gram);
    // Another four characters with the same hash, nearly always.
    if (known === undefined) return false;
    return known.some(({ spelling, offset }) => {
      let start = 0;
      while (start < offset && isAlike(bytes[at - start - 1], spelling[offset - start - 1])) start++;
      let end = GRAM;
      while (offset + end < spelling.length && isAlike(bytes[at + end], spelling[offset + end])) end++;
      return start + end >= TELLING_LENGTH;
    });
  }

  /** False where no spelling can be in bytes of UTF-8. */
  bytes(bytes: Buffer): boolean {
    const { length } = bytes;
    const hashes = this.#hashes;
    for (let at = 0; at + GRAM <= length; at += this.#stride) {
      const gram =
        (bytes[at] ?? 0) |
        ((bytes[at + 1] ?? 0) << 8) |
        ((bytes[at + 2] ?? 0) << 16) |
        ((bytes[at + 3] ?? 0) << 24) |
        FOLD;
      if (hashes[hashOf(gram)] === 1 && this.#grams.has(gram)) return true;
    }
    return this.#hasTellingEscape(bytes);
  }

  /** The same for a text. */
  text(text: string): boolean {
    const { length } = text;
    const hashes = this.#hashes;
    for (let at = 0; at + GRAM <= length; at += this.#stride) {
      const a = text.charCodeAt(at);
      const b = text.charCodeAt(at + 1);
      const c = text.charCodeAt(at + 2);
      const d = text.charCodeAt(at + 3);
      if ((a | b | c | d) > 0xff) continue;
      const gram = a | (b << 8) | (c << 16) | (d << 24) | FOLD;
      if (hashes[hashOf(gram)] === 1 && this.#grams.has(gram)) return true;
    }
    // Every mark has one of these, except `;#`, which follows `amp` and so one of them.
    const mayEscape = text.includes('\\') || text.includes('%') || text.includes('&');
    if (!mayEscape || !this.#marks.some(({ text: mark }) => text.includes(mark))) return false;
    return this.#hasTellingEscape(Buffer.from(text, 'latin1'));
  }

  /** True where an escape encodes a character that a spelling has, or that another escape begins with. */
  #hasTellingEscape(bytes: Buffer): boolean {
    for (const { bytes: mark } of this.#marks) {
      for (let at = bytes.indexOf(mark); at !== -1; at = bytes.indexOf(mark, at + 1)) {
        if (this.#isTellingEscape(bytes, at)) return true;
      }
    }
    return false;
  }

  #isTellingEscape(bytes: Buffer, at: number): boolean {
    const next = bytes[at + 1] ?? 0;
    switch (bytes[at]) {
      case PERCENT:
        return this.#tells(hexValue(next, bytes[at + 2] ?? 0), bytes, at + 3);
      case AMPERSAND:
        return next === HASH || this.#hasNamed;
      case SEMICOLON:
        return ((bytes[at - 1] ?? 0) | 0x20) === LETTER_P;
      case undefined:
      default:
        if (next === SLASH || next === QUOTE) return this.#telling[next] === 1;
        return next === BACKSLASH
          ? this.#hasBackslash
          : next === LETTER_U && this.#isTellingUnicode(bytes, at + 2);
    }
  }

  #isTellingUnicode(bytes: Buffer, at: number): boolean {
    if (bytes[at] !== ZERO || bytes[at + 1] !== ZERO) return false;
    const code = hexValue(bytes[at + 2] ?? 0, bytes[at + 3] ?? 0);
    return this.#tells(code, bytes, at + 4);
  }

  /** Whether a character matters, by its code and what follows it. */
  #tells(code: number, bytes: Buffer, next: number): boolean {
    // Part of an HTML entity: of each the number sign is there, or is an escape itself.
    if (code === HASH || ((code === AMPERSAND || code === SEMICOLON) && bytes[next] === HASH)) return true;
    return code >= 0 && this.#telling[code] === 1;
  }
}

/** The value of two hexadecimal digits; below 0 where they are none. */
function hexValue(high: number, low: number): number {
  return digitOf(high) * 16 + digitOf(low);
}

/** A digit's value; far below 0 where it is none. */
function digitOf(code: number): number {
  if (code >= ZERO && code <= 0x39) return code - ZERO;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1000;
}

function isAlike(one: number | undefined, other: number | undefined): boolean {
  return one !== undefined && other !== undefined && (one | CASE) === (other | CASE);
}

/** True where an escape such as `\\u0073` begins at a place or at one of the two after it. */
function hasEscape(bytes: Buffer, place: number): boolean {
  for (let at = place; at < place + GRAM - 1; at++) {
    const isEscape =
      bytes[at] === BACKSLASH &&
      bytes[at + 1] === LETTER_U &&
      bytes[at + 2] === ZERO &&
      bytes[at + 3] === ZERO;
    if (isEscape) return true;
  }
  return false;
}

function hashOf(gram: number): number {
  return Math.imul(gram, 0x9e3779b1) >>> 16;
}
