/**
 * Lines at the end of a terminal's output that are redrawn in place, whatever happens to the terminal's width.
 *
 * Most terminals rewrap lines when they get narrower, so what was drawn may take up more rows than it had. The rows
 * are therefore counted at the width that the terminal has now, just before they are cleared.
 */

import ora, { type Ora } from 'ora';
import stringWidth from 'string-width';

const ESCAPE = '\u001b[';
const HIDE_CURSOR = `${ESCAPE}?25l`;
const SHOW_CURSOR = `${ESCAPE}?25h`;
const CLEAR_DOWN = `${ESCAPE}J`;
/** ora's symbol and the space after it. */
const FRAME_COLUMNS = 2;
/** A line as wide as the terminal wraps on some. */
const MARGIN = 1;
const MINIMUM_COLUMNS = 10;
const PRINTABLE_ASCII = /^[ -~]*$/;

/** The part of a terminal's stream that is used; tests bring their own. */
export interface Terminal {
  readonly columns: number;
  /** Asks the terminal itself: `columns` is only as new as the last signal that was dealt with. */
  getWindowSize?(): [number, number];
  write(text: string): unknown;
}

export interface LiveLinesOptions {
  coloured: boolean;
  environment?: NodeJS.ProcessEnv;
}

export class LiveLines {
  /** Only its frames: it would count the rows at the width that the terminal had when it drew them. */
  readonly #spinner: Ora;
  readonly #rewraps: boolean;
  /** Columns of each line that is on the terminal now. */
  #drawn: number[] = [];
  #lines: readonly string[] = [];
  #isCursorHidden = false;

  constructor(
    private readonly terminal: Terminal,
    private readonly options: LiveLinesOptions,
  ) {
    const { environment = process.env } = options;
    this.#spinner = ora({ color: false });
    this.#rewraps = rewraps(environment);
  }

  /** Columns that a line may have. */
  get columns(): number {
    return Math.max(MINIMUM_COLUMNS, this.#width() - FRAME_COLUMNS - MARGIN);
  }

  /** Shows these lines in place of the earlier ones, with the next frame of the spinner. */
  draw(lines: readonly string[]): void {
    this.#lines = lines;
    this.#write(this.#cleared() + this.#drawing());
  }

  /** Writes text that stays, above the lines; it ends with a line end. */
  writeAbove(text: string): void {
    this.#write(this.#cleared() + text + this.#drawing());
  }

  /** What was drawn is no longer where it was: the process was stopped, and a shell has written since. */
  forget(): void {
    this.#drawn = [];
    this.#isCursorHidden = false;
  }

  /** Takes the lines away and gives the cursor back. */
  stop(): void {
    this.#lines = [];
    this.#write(this.#cleared() + (this.#isCursorHidden ? SHOW_CURSOR : ''));
    this.#isCursorHidden = false;
  }

  #drawing(): string {
    if (this.#lines.length === 0) return '';
    const { columns } = this;
    const fitted = this.#lines.map((line) => fit(line, columns));
    this.#spinner.text = fitted.join('\n');
    const frame = this.#spinner.frame();
    const shown = this.options.coloured ? frame.replace(/^\S+/, `${ESCAPE}36m$&${ESCAPE}39m`) : frame;
    this.#drawn = fitted.map((line, index) => widthOf(line) + (index === 0 ? FRAME_COLUMNS : 0));
    const hide = this.#isCursorHidden ? '' : HIDE_CURSOR;
    this.#isCursorHidden = true;
    return `${hide}${shown}`;
  }

  /** Clears what is drawn; the cursor is at its end. */
  #cleared(): string {
    if (this.#drawn.length === 0) return '';
    const width = this.#rewraps ? this.#width() : Infinity;
    const rows = this.#drawn.reduce((sum, columns) => sum + Math.max(1, Math.ceil(columns / width)), 0);
    this.#drawn = [];
    return `\r${rows > 1 ? `${ESCAPE}${rows - 1}A` : ''}${CLEAR_DOWN}`;
  }

  #width(): number {
    let columns: number | undefined;
    try {
      columns = this.terminal.getWindowSize?.()[0];
    } catch {
      // The terminal was closed.
    }
    // Some pseudo-terminals say 0.
    return Math.max(1, columns || this.terminal.columns || 80);
  }

  #write(text: string): void {
    if (text === '') return;
    try {
      this.terminal.write(text);
    } catch {
      // The terminal was closed; the lines are not needed.
    }
  }
}

/** False for terminals that cut lines off when they get narrower: GNU screen, the Linux console, xterm itself. */
function rewraps(environment: NodeJS.ProcessEnv): boolean {
  const terminal = environment['TERM'] ?? '';
  if (environment['TMUX'] !== undefined) return true;
  return !/^(?:screen|linux|vt\d)/.test(terminal) && environment['XTERM_VERSION'] === undefined;
}

/** The columns that a terminal needs for a text: two for an ideograph or an emoji. */
function widthOf(text: string): number {
  return PRINTABLE_ASCII.test(text) ? text.length : stringWidth(text);
}

/** Cuts a line with an ellipsis where it needs more columns than there are. */
export function fit(line: string, columns: number): string {
  if (widthOf(line) <= columns) return line;
  let width = 0;
  let fitted = '';
  for (const { segment } of new Intl.Segmenter().segment(line)) {
    width += widthOf(segment);
    if (width > columns - 1) break;
    fitted += segment;
  }
  return `${fitted}…`;
}
