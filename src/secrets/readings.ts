/**
 * The characters that a text may encode, escapes of JSON, URLs and HTML read in every way. A layer-by-layer decoder
 * has to decide which marks begin an escape, and a mark that happens to be before a key (`100%` before `abc…`) would
 * swallow the key's first characters. Here each place of the text has all the characters that can begin there: the one
 * that is written, and that of every escape, whose own characters may be written as escapes too.
 */

/** A character, as its UTF-16 unit, and where what it was written as ends. */
export interface Written {
  code: number;
  end: number;
}

/** Readings of one place beyond that are dropped, so that time and memory grow with the length of the text alone. */
const MOST_READINGS = 24;
/** Of those that are backslashes: `%5C%5C%5C%5C` may be one, two, three or four. */
const MOST_BACKSLASH_READINGS = 4;
/** JSON inside JSON doubles backslashes: a backslash is written as 1, 2, 4, … of them, up to this many. */
const MOST_BACKSLASHES = 256;
/** `&#x0000073;`: more digits are nobody's accident. */
const MOST_DIGITS = 9;

const QUOTE = 0x22;
const HASH = 0x23;
const PERCENT = 0x25;
const AMPERSAND = 0x26;
const SLASH = 0x2f;
const SEMICOLON = 0x3b;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const LETTER_X = 0x78;
const CASE = 0x20;

/** What HTML has names for, and matters to it. */
const NAMED: readonly { name: string; code: number }[] = [
  { name: 'quot;', code: QUOTE },
  { name: 'amp;', code: AMPERSAND },
  { name: 'lt;', code: 0x3c },
  { name: 'gt;', code: 0x3e },
  { name: 'apos;', code: 0x27 },
];
const NONE: readonly Written[] = [];

export class Readings {
  /** By the places of marks: what begins there apart from the mark itself. */
  readonly #escapes: (readonly Written[] | undefined)[];
  /** How many readings there are, which is what finding them and using them takes. */
  size = 0;
  /** By the places after backslashes: what a backslash before them makes of what follows. */
  readonly #afterBackslash = new Map<number, Written[]>();

  constructor(readonly text: string) {
    this.#escapes = new Array<undefined>(text.length);
    // From the end, as an escape consists of characters that follow it.
    for (let at = text.length - 2; at >= 0; at--) {
      if (!this.#mayBegin(at)) continue;
      const plain = this.#plainEscapeAt(at);
      const escapes = plain === null ? this.#escapesAt(at) : [plain];
      if (escapes.length === 0) continue;
      this.#escapes[at] = escapes;
      this.size += escapes.length;
    }
  }

  /** The one reading of an escape whose characters are written as they are, as nearly all are; null for any other. */
  #plainEscapeAt(at: number): Written | null {
    const code = this.text.charCodeAt(at);
    const next = this.text.charCodeAt(at + 1);
    let found: Written | null = null;
    if (code === PERCENT) found = this.#plainDigits(at + 1, 16, 2);
    else if (code === BACKSLASH && next === LETTER_U) found = this.#plainDigits(at + 2, 16, 4);
    else if (code === AMPERSAND && next === HASH) found = this.#plainEntity(at + 2);
    // An encoded mark may begin another escape.
    if (found === null || isMark(found.code)) return null;
    if (code === BACKSLASH) this.#afterBackslash.set(at + 1, [found]);
    return found;
  }

  #plainEntity(at: number): Written | null {
    const isHexadecimal = lower(this.text.charCodeAt(at)) === LETTER_X;
    const start = isHexadecimal ? at + 1 : at;
    let end = start;
    while (end < start + MOST_DIGITS && digitOf(this.text.charCodeAt(end)) < 16) end++;
    if (end === start || this.text.charCodeAt(end) !== SEMICOLON) return null;
    const found = this.#plainDigits(start, isHexadecimal ? 16 : 10, end - start);
    return found === null || found.code > 0xffff ? null : { code: found.code, end: end + 1 };
  }

  #plainDigits(at: number, base: 10 | 16, digits: number): Written | null {
    let value = 0;
    for (let end = at; end < at + digits; end++) {
      const digit = digitOf(this.text.charCodeAt(end));
      if (digit >= base) return null;
      value = value * base + digit;
    }
    return { code: value, end: at + digits };
  }

  /** False where no escape begins: most marks mean themselves, as in `\\n` or `5 % of`. */
  #mayBegin(at: number): boolean {
    const code = this.text.charCodeAt(at);
    if (!isMark(code)) return false;
    const next = this.text.charCodeAt(at + 1);
    if (isMark(next)) return true;
    if (code === PERCENT) return digitOf(next) < 16;
    if (code === BACKSLASH) return next === LETTER_U || next === QUOTE || next === SLASH;
    return next === HASH || NAMED.some(({ name }) => name.charCodeAt(0) === lower(next));
  }

  /** What escapes that begin at a place encode; the character that is written there itself is not among it. */
  escapesAt(at: number): readonly Written[] {
    return this.#escapes[at] ?? NONE;
  }

  /** Everything that may begin at a place. */
  #at(at: number): readonly Written[] {
    if (at >= this.text.length) return NONE;
    const written = { code: this.text.charCodeAt(at), end: at + 1 };
    const escapes = this.#escapes[at];
    return escapes === undefined ? [written] : [written, ...escapes];
  }

  #escapesAt(at: number): Written[] {
    const code = this.text.charCodeAt(at);
    const found: Written[] = code === BACKSLASH ? this.#backslashesAt(at) : [];
    // What follows one backslash is also what follows those that it was read as.
    const isDone = new Set(found);
    this.#addEscapes({ code, end: at + 1 }, found, isDone);
    // An escape may encode a mark, which begins another one.
    for (const one of found) if (!isDone.has(one)) this.#addEscapes(one, found, isDone);
    return found;
  }

  /** A backslash that is written as several. */
  #backslashesAt(at: number): Written[] {
    const found: Written[] = [];
    let length = 1;
    for (let wanted = 2; wanted <= MOST_BACKSLASHES; wanted *= 2) {
      while (length < wanted && this.text.charCodeAt(at + length) === BACKSLASH) length++;
      if (length < wanted) break;
      found.push({ code: BACKSLASH, end: at + wanted });
    }
    return found;
  }

  /** Adds what a mark makes of what follows it. */
  #addEscapes({ code, end }: Written, found: Written[], isDone: Set<Written>): void {
    if (code === BACKSLASH) {
      for (const one of this.#followingBackslash(end)) {
        if (one.code === BACKSLASH) isDone.add(one);
        add(one, found);
      }
    }
    if (code === PERCENT) addAll(this.#number(end, 16, 2, 2), found);
    else if (code === AMPERSAND) this.#addEntities(end, found);
  }

  /** Any number of backslashes is one: JSON inside JSON, read from the inside. */
  #followingBackslash(at: number): readonly Written[] {
    const known = this.#afterBackslash.get(at);
    if (known !== undefined) return known;
    const isWritten = this.text.charCodeAt(at) === BACKSLASH;
    const found: Written[] = [];
    for (const { code, end } of this.#at(at)) {
      if (code === LETTER_U) addAll(this.#number(end, 16, 4, 4), found);
      else if (code === QUOTE || code === SLASH) add({ code, end }, found);
      else if (code === BACKSLASH) {
        // Those that are written as backslashes are counted by #backslashesAt.
        if (!isWritten) add({ code, end }, found);
        addAll(this.#afterBackslash.get(end) ?? NONE, found);
      }
    }
    this.#afterBackslash.set(at, found);
    return found;
  }

  #addEntities(at: number, found: Written[]): void {
    const first = this.#at(at);
    for (const { code, end } of first) {
      if (code !== HASH) continue;
      addAll(this.#terminated(this.#number(end, 10, 1, MOST_DIGITS)), found);
      for (const x of this.#at(end)) {
        if ((x.code | CASE) !== LETTER_X) continue;
        addAll(this.#terminated(this.#number(x.end, 16, 1, MOST_DIGITS)), found);
      }
    }
    for (const { name, code } of NAMED) {
      if (!first.some((one) => lower(one.code) === name.charCodeAt(0))) continue;
      for (const end of this.#endsOf(name, at)) add({ code, end }, found);
    }
  }

  /** Where a word ends that is written at a place, each of whose letters may be an escape itself. */
  #endsOf(word: string, at: number): number[] {
    let ends = [at];
    for (let index = 0; index < word.length && ends.length > 0; index++) {
      const letter = word.charCodeAt(index);
      ends = [...new Set(ends)]
        .slice(0, MOST_READINGS)
        .flatMap((start) =>
          this.#at(start).flatMap(({ code, end }) => (lower(code) === letter ? [end] : [])),
        );
    }
    return ends;
  }

  /** Those that a semicolon follows. */
  #terminated(numbers: readonly Written[]): Written[] {
    return numbers.flatMap(({ code, end }) =>
      this.#at(end).flatMap((next) => (next.code === SEMICOLON ? [{ code, end: next.end }] : [])),
    );
  }

  /** The same for digits that are written as they are, as nearly all are; null where one may be an escape. */
  #plainNumber(at: number, base: 10 | 16, digits: number): Written[] | null {
    let value = 0;
    for (let end = at; end < at + digits; end++) {
      const digit = digitOf(this.text.charCodeAt(end));
      if (digit >= base) return this.#escapes[end] === undefined ? [] : null;
      value = value * base + digit;
    }
    return [{ code: value, end: at + digits }];
  }

  /** Numbers of this many digits, each of which may be an escape itself. */
  #number(at: number, base: 10 | 16, fewest: number, most: number): Written[] {
    const plain = fewest === most ? this.#plainNumber(at, base, most) : null;
    if (plain !== null) return plain;
    const found: Written[] = [];
    let states: Written[] = [{ code: 0, end: at }];
    for (let digits = 1; digits <= most && states.length > 0; digits++) {
      const longer: Written[] = [];
      for (const state of states) {
        for (const { code, end } of this.#at(state.end)) {
          const digit = digitOf(code);
          const value = state.code * base + digit;
          if (digit < base && value <= 0xffff) add({ code: value, end }, longer);
        }
      }
      states = longer;
      if (digits >= fewest) addAll(states, found);
    }
    return found;
  }
}

function addAll(written: readonly Written[], to: Written[]): void {
  for (const one of written) add(one, to);
}

function add(written: Written, to: Written[]): void {
  if (to.length >= MOST_READINGS) return;
  let backslashes = 0;
  for (const { code, end } of to) {
    if (code === written.code && end === written.end) return;
    if (code === BACKSLASH) backslashes++;
  }
  if (written.code !== BACKSLASH || backslashes < MOST_BACKSLASH_READINGS) to.push(written);
}

function isMark(code: number): boolean {
  return code === BACKSLASH || code === PERCENT || code === AMPERSAND;
}

function lower(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code | CASE : code;
}

/** A digit's value; 99 where it is none. */
function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | CASE;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : 99;
}

/** The text without any escapes, each read as far as it goes. */
export function withoutEscapes(text: string): string {
  const readings = new Readings(text);
  const codes: number[] = [];
  for (let at = 0; at < text.length;) {
    const written = { code: text.charCodeAt(at), end: at + 1 };
    const longest = readings.escapesAt(at).reduce((best, one) => (one.end > best.end ? one : best), written);
    codes.push(longest.code);
    at = longest.end;
  }
  return codes.map((code) => String.fromCharCode(code)).join('');
}
