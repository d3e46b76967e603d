import type { Ora } from 'ora';
import { LOG_LEVELS, type LogFile, type LogLevel } from './log.js';
import { inert, type Redactor } from './text.js';
import type { Reporter } from './types.js';

/** How often a plain line is written where there is no terminal. */
const PLAIN_INTERVAL_MS = 10_000;
const PLAIN_COLUMNS = 300;
/** What lasts less than this shows no progress. */
const PATIENCE_MS = 300;
const REDRAW_INTERVAL_MS = 100;
/** ora's symbol and the space after it. */
const SYMBOL_COLUMNS = 2;

export interface ConsoleOptions {
  level: LogLevel;
  redactor: Redactor;
  /** Standard error; tests hand in their own. */
  stream?: NodeJS.WriteStream;
}

/**
 * What people see while a command works: messages and one progress line on standard error. On a terminal the
 * progress line is redrawn in place and never wider than the terminal; elsewhere it is a plain line every 10 s.
 */
export class Console implements Reporter {
  readonly #stream: NodeJS.WriteStream;
  readonly #threshold: number;
  readonly #redactor: Redactor;
  #log: LogFile | null = null;
  #spinner: Ora | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** Columns of the lines that the terminal shows. */
  #drawn: number[] = [];
  /** Until the spinner appears: what is over sooner would only flicker, and would wait for the spinner to load. */
  #waiting: NodeJS.Timeout | null = null;

  constructor(options: ConsoleOptions) {
    this.#stream = options.stream ?? process.stderr;
    this.#threshold = LOG_LEVELS[options.level];
    this.#redactor = options.redactor;
  }

  /** From here on every message also goes to the run's log. */
  attachLog(log: LogFile): void {
    this.#log = log;
  }

  /** The log is about to be closed: messages go to the terminal alone. */
  detachLog(): void {
    this.#log = null;
  }

  debug(message: string): void {
    this.#say('debug', message);
  }
  info(message: string): void {
    this.#say('info', message);
  }
  warning(message: string): void {
    this.#say('warning', message);
  }
  error(message: string): void {
    this.#say('error', message);
  }

  /** A line for the log alone. */
  record(level: LogLevel, message: string): void {
    this.#log?.write(level, message);
  }

  /** Text that is shown as it stands, such as the summary's table; its lines must be our own or inert. */
  print(text: string): void {
    this.#aboveProgress(`${this.#redactor.text(text)}\n`);
  }

  /**
   * Shows `render()` until the returned function is called.
   * @param render the progress line without a line end, or several of them; given the columns that there are
   */
  showProgress(render: (columns: number) => string | string[]): () => void {
    if (this.isTerminal) return this.#showSpinner((columns) => [render(columns)].flat());
    if (this.#threshold > LOG_LEVELS.info) return () => undefined;
    const timer = setInterval(() => {
      const line = [render(PLAIN_COLUMNS)].flat().join(' · ');
      this.#write(`${inert(this.#redactor.text(line), PLAIN_COLUMNS)}\n`);
    }, PLAIN_INTERVAL_MS);
    timer.unref();
    return () => {
      clearInterval(timer);
    };
  }

  /**
   * Shows several lines, redrawn in place, until the returned function is called. Only a terminal shows them; elsewhere
   * whoever calls tells what changes.
   * @param render the lines, at most as many as it is given room for
   */
  showTable(render: (rows: number) => string[]): () => void {
    if (!this.isTerminal) return () => undefined;
    return this.#showSpinner(() => render(Math.max(3, this.#stream.rows - 2)));
  }

  /** True where lines can be redrawn in place. */
  get isTerminal(): boolean {
    return this.#stream.isTTY && process.env['TERM'] !== 'dumb';
  }

  #showSpinner(render: (columns: number) => string[]): () => void {
    const waiting = setTimeout(() => void this.#startSpinner(render), PATIENCE_MS);
    this.#waiting = waiting;
    return () => {
      this.endProgress();
    };
  }

  async #startSpinner(render: (columns: number) => string[]): Promise<void> {
    const waiting = this.#waiting;
    const { default: ora } = await import('ora');
    // It may be over meanwhile.
    if (waiting === null || this.#waiting !== waiting) return;
    // ora draws a symbol and a space before the text, and a line as wide as the terminal would wrap.
    const text = (): string => {
      const columns = Math.max(10, this.#stream.columns - 3);
      const lines = render(columns).map((line) => inert(this.#redactor.text(line), columns));
      this.#drawn = lines.map((line) => line.length + SYMBOL_COLUMNS);
      return lines.join('\n');
    };
    // stdin stays untouched: ora would put it in raw mode, and Ctrl-C belongs to the run.
    const spinner = ora({ text: text(), stream: this.#stream, discardStdin: false }).start();
    this.#spinner = spinner;
    const timer = setInterval(() => {
      spinner.text = text();
    }, REDRAW_INTERVAL_MS);
    timer.unref();
    this.#timer = timer;
    this.#stream.on('resize', this.#clearWrapped);
  }

  /** Lines that were as wide as the terminal take up more of them in a narrower one, and ora clears what it drew. */
  readonly #clearWrapped = (): void => {
    const { columns } = this.#stream;
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    if (this.#spinner === null || rows <= this.#drawn.length) return;
    this.#stream.cursorTo(0);
    this.#stream.moveCursor(0, 1 - rows);
    this.#stream.clearScreenDown();
    this.#stream.write('\n'.repeat(this.#drawn.length - 1));
  };

  /** Takes the progress line away and gives the terminal its cursor back; harmless where there is none. */
  endProgress(): void {
    if (this.#waiting !== null) clearTimeout(this.#waiting);
    this.#waiting = null;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#stream.off('resize', this.#clearWrapped);
    this.#spinner?.stop();
    this.#spinner = null;
  }

  #say(level: LogLevel, message: string): void {
    this.#log?.write(level, message);
    if (LOG_LEVELS[level] < this.#threshold) return;
    const prefix = level === 'info' || level === 'debug' ? '' : `${this.#coloured(level)}: `;
    this.#aboveProgress(`${prefix}${inert(this.#redactor.text(message), 2000)}\n`);
  }

  /** Colours that can be read on a dark and on a light background; `hasColors` heeds NO_COLOR and FORCE_COLOR. */
  #coloured(level: 'warning' | 'error'): string {
    if (!this.isTerminal || !this.#stream.hasColors()) return level;
    return level === 'error' ? `\u001b[1;31m${level}\u001b[0m` : `\u001b[1m${level}\u001b[0m`;
  }

  #aboveProgress(text: string): void {
    if (this.#spinner === null) {
      this.#write(text);
      return;
    }
    this.#spinner.clear();
    this.#write(text);
    this.#spinner.render();
  }

  /** A message that nobody can receive any more is no reason to stop; see `output.ts` for errors that come later. */
  #write(text: string): void {
    try {
      this.#stream.write(text);
    } catch {
      // A full disk, in versions of Node that throw.
    }
  }
}
