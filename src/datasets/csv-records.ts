/**
 * Records of CSV text, read as Excel, pandas and Python's `csv` read them (the states are those of CPython's
 * `Modules/_csv.c`): a quote inside an unquoted cell is text, as is what follows a closing quote. Lines end with CRLF, LF
 * or CR alone; blank ones are skipped.
 */

import { count } from '../lib/text.js';
import { LONGEST_ROW_BYTES, TOO_LONG } from './row-limits.js';

export interface CsvRecord {
  /** The first ones alone where the record is too long or has too many. */
  cells: string[];
  /** What the record has too much of, in words that follow its name; null for nothing. */
  excess: string | null;
  /** The line at which the record starts, counted from 1. */
  line: number;
}

export interface CsvDialect {
  delimiter: string;
  /** True where `\"` inside quotes is a quote, as MySQL, Spark and PHP may write it. */
  backslash: boolean;
}

/** What a file looks like when it is read as having no backslash escapes. */
export interface BackslashEvidence {
  /** Quoted cells that continue after `\"`: senseless unless it is an escaped quote. */
  inside: number;
  /** Quoted cells that end with `\"`: senseless if it is an escaped quote. */
  atEnd: number;
  /** The line of the first of the former. */
  line: number | null;
}

/** The text ended inside quotes. */
export class UnclosedQuote extends Error {
  constructor(readonly line: number) {
    super(`the quote that opens at line ${line} is never closed`);
  }
}

const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Cells of a record. A dataset has hundreds of columns at most. */
export const MOST_CELLS = 100_000;

type State = 'start' | 'unquoted' | 'quoted' | 'quote seen';

/** Takes text piece by piece and gives the records that are complete. */
export class CsvReader {
  readonly evidence: BackslashEvidence = { inside: 0, atEnd: 0, line: null };
  readonly #delimiter: number;
  #state: State = 'start';
  #cells: string[] = [];
  #cell = '';
  /** Backslashes at the end of the cell. Looking for them there would copy it, each time that it has grown. */
  #backslashes = 0;
  /** Characters of the record so far. */
  #length = 0;
  #excess: string | null = null;
  #line = 1;
  #recordLine = 1;
  #quoteLine = 1;
  #hadQuotes = false;
  /** The last character was a CR, whose LF may come with the next piece. */
  #afterReturn = false;
  #records: CsvRecord[] = [];

  constructor(private readonly dialect: CsvDialect) {
    this.#delimiter = dialect.delimiter.charCodeAt(0);
  }

  push(text: string): CsvRecord[] {
    this.#records = [];
    for (let at = 0; at < text.length;) at = this.#step(text, at);
    return this.#records;
  }

  /** @throws UnclosedQuote */
  end(): CsvRecord[] {
    this.#records = [];
    if (this.#state === 'quoted') throw new UnclosedQuote(this.#quoteLine);
    if (this.#state === 'quote seen') this.#noteEnd();
    if (this.#state !== 'start' || this.#cells.length > 0) this.#endRecord();
    return this.#records;
  }

  /** Goes on from `at` as far as the state lasts; where it ended. */
  #step(text: string, at: number): number {
    if (this.#afterReturn) {
      this.#afterReturn = false;
      if (text.charCodeAt(at) === LF) return at + 1;
    }
    switch (this.#state) {
      case 'start':
        if (text.charCodeAt(at) !== QUOTE) {
          this.#state = 'unquoted';
          return at;
        }
        this.#state = 'quoted';
        this.#hadQuotes = true;
        this.#quoteLine = this.#line;
        return at + 1;
      case 'unquoted':
        return this.#unquoted(text, at);
      case 'quoted':
        return this.#quoted(text, at);
      case 'quote seen':
        return this.#quoteSeen(text, at);
    }
  }

  #unquoted(text: string, at: number): number {
    let next = at;
    let code = 0;
    for (; next < text.length; next++) {
      code = text.charCodeAt(next);
      if (code === this.#delimiter || code === LF || code === CR) break;
    }
    if (next > at) this.#add(text, at, next);
    if (next === text.length) return next;
    if (code === this.#delimiter) this.#endCell();
    else {
      this.#afterReturn = code === CR;
      this.#endRecord();
      this.#line += 1;
      this.#recordLine = this.#line;
    }
    return next + 1;
  }

  /** Takes as much of a quoted cell as the text has at once: adding to a cell at every quote would take it apart. */
  #quoted(text: string, at: number): number {
    let quotes = 0;
    let end = text.indexOf('"', at);
    while (end !== -1) {
      if (this.dialect.backslash && this.#backslashesIn(text, at, end) % 2 === 1)
        end = text.indexOf('"', end + 1);
      else if (text.charCodeAt(end + 1) === QUOTE) end = text.indexOf('"', end + 2);
      else break;
      quotes += 1;
    }
    const stop = end === -1 ? text.length : end;
    this.#line += breaksIn(text.slice(at, stop));
    if (quotes === 0) this.#add(text, at, stop);
    else this.#addUnescaped(text.slice(at, stop));
    if (end !== -1) this.#state = 'quote seen';
    return end === -1 ? stop : stop + 1;
  }

  /** Adds a part of a cell in which quotes are escaped. */
  #addUnescaped(part: string): void {
    if (!this.dialect.backslash) {
      const plain = part.replaceAll('""', '"');
      this.#add(plain, 0, plain.length);
      return;
    }
    // Where a piece of the text ends behind a backslash, that one is in the cell already.
    const isCut = this.#backslashes % 2 === 1;
    if (isCut) this.#cell = this.#cell.slice(0, -1);
    const whole = isCut ? `\\${part}` : part;
    const plain = whole.replace(/(\\\\)|\\"|""/g, (_, backslashes?: string) => backslashes ?? '"');
    this.#backslashes = 0;
    this.#add(plain, 0, plain.length);
  }

  #quoteSeen(text: string, at: number): number {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      this.#add('"', 0, 1);
      this.#state = 'quoted';
      return at + 1;
    }
    if (code === this.#delimiter || code === LF || code === CR) this.#noteEnd();
    else if (this.#endsWithEscape) {
      this.evidence.inside += 1;
      this.evidence.line ??= this.#line;
    }
    this.#state = 'unquoted';
    return at;
  }

  #noteEnd(): void {
    if (this.#endsWithEscape) this.evidence.atEnd += 1;
  }

  /** A cell's text grows; nothing more is kept of a record that is too long. */
  #add(text: string, from: number, to: number): void {
    this.#backslashes = this.#backslashesIn(text, from, to);
    this.#length += to - from;
    if (this.#length > LONGEST_ROW_BYTES) this.#excess ??= TOO_LONG;
    if (this.#excess !== null) this.#cell = '';
    else this.#cell = this.#cell === '' ? text.slice(from, to) : this.#cell + text.slice(from, to);
  }

  /** Backslashes at the end of the cell once a part of a text has been added to it. */
  #backslashesIn(text: string, from: number, to: number): number {
    let start = to;
    while (start > from && text.charCodeAt(start - 1) === BACKSLASH) start -= 1;
    return to - start + (start === from ? this.#backslashes : 0);
  }

  /** True for an odd number of them. */
  get #endsWithEscape(): boolean {
    return this.#backslashes % 2 === 1;
  }

  #endCell(): void {
    this.#backslashes = 0;
    if (this.#cells.length < MOST_CELLS) this.#cells.push(this.#cell);
    else this.#excess ??= `has more than ${count(MOST_CELLS)} cells`;
    this.#length += 1;
    this.#cell = '';
    this.#state = 'start';
  }

  #endRecord(): void {
    this.#endCell();
    const [only] = this.#cells;
    const isBlank = this.#cells.length === 1 && only === '' && !this.#hadQuotes;
    if (!isBlank) this.#records.push({ cells: this.#cells, excess: this.#excess, line: this.#recordLine });
    this.#cells = [];
    this.#length = 0;
    this.#excess = null;
    this.#hadQuotes = false;
  }
}

/** Line ends of any kind. */
function breaksIn(text: string): number {
  return text.includes('\n') || text.includes('\r') ? (text.match(/\r\n?|\n/g)?.length ?? 0) : 0;
}
