/**
 * Records of CSV text, read as Excel, pandas and Python's `csv` read them (the states are those of CPython's
 * `Modules/_csv.c`): a quote inside an unquoted cell is text, as is what follows a closing quote. Lines end with CRLF, LF
 * or CR alone; blank ones are skipped.
 */

export interface CsvRecord {
  cells: string[];
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
  /** Quoted cells that go on behind `\"`: senseless unless it is an escaped quote. */
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

const MOST_CELL_CHARACTERS = 256 << 20;
const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;

type State = 'start' | 'unquoted' | 'quoted' | 'quote seen';

/** Takes text piece by piece and gives the records that are complete. */
export class CsvReader {
  readonly evidence: BackslashEvidence = { inside: 0, atEnd: 0, line: null };
  readonly #delimiter: number;
  #state: State = 'start';
  #cells: string[] = [];
  #cell = '';
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
    if (next > at) this.#cell = this.#cell === '' ? text.slice(at, next) : this.#cell + text.slice(at, next);
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

  #quoted(text: string, at: number): number {
    const quote = text.indexOf('"', at);
    const part = quote === -1 ? text.slice(at) : text.slice(at, quote);
    this.#cell += part;
    this.#line += breaksIn(part);
    // The engine's strings end at twice that.
    if (this.#cell.length > MOST_CELL_CHARACTERS) throw new UnclosedQuote(this.#quoteLine);
    if (quote === -1) return text.length;
    if (this.dialect.backslash && endsWithEscape(this.#cell)) this.#cell = `${this.#cell.slice(0, -1)}"`;
    else this.#state = 'quote seen';
    return quote + 1;
  }

  #quoteSeen(text: string, at: number): number {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      this.#cell += '"';
      this.#state = 'quoted';
      return at + 1;
    }
    if (code === this.#delimiter || code === LF || code === CR) this.#noteEnd();
    else if (endsWithEscape(this.#cell)) {
      this.evidence.inside += 1;
      this.evidence.line ??= this.#line;
    }
    this.#state = 'unquoted';
    return at;
  }

  #noteEnd(): void {
    if (endsWithEscape(this.#cell)) this.evidence.atEnd += 1;
  }

  #endCell(): void {
    this.#cells.push(this.#cell);
    this.#cell = '';
    this.#state = 'start';
  }

  #endRecord(): void {
    this.#endCell();
    const [only] = this.#cells;
    const isBlank = this.#cells.length === 1 && only === '' && !this.#hadQuotes;
    if (!isBlank) this.#records.push({ cells: this.#cells, line: this.#recordLine });
    this.#cells = [];
    this.#hadQuotes = false;
  }
}

/** True for text that ends with an odd number of backslashes. */
function endsWithEscape(text: string): boolean {
  let before = text.length;
  while (text.charCodeAt(before - 1) === 0x5c) before -= 1;
  return (text.length - before) % 2 === 1;
}

function breaksIn(text: string): number {
  return text.includes('\n') || text.includes('\r') ? (text.match(/\r\n?|\n/g)?.length ?? 0) : 0;
}
