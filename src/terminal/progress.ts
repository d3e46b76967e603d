import type { LiveLines } from './live-lines.js';
import { LOG_LEVELS, type LogFile, type LogLevel } from './log.js';
import type { Redactor } from '../secrets/redactor.js';
import { sanitize, sanitizeLines } from '../lib/text.js';
import type { Reporter } from '../types.js';

/** How often a plain line is written where there is no terminal. */
const PLAIN_INTERVAL_MS = 10_000;
const PLAIN_COLUMNS = 300;
/** What lasts less than this shows no progress. */
const PATIENCE_MS = 300;
const REDRAW_INTERVAL_MS = 100;

export interface ConsoleOptions {
  level: LogLevel;
  /** True to show warnings and errors alone: no progress, no tables. */
  quiet?: boolean;
  redactor: Redactor;
  /** Standard error; tests hand in their own. */
  stream?: NodeJS.WriteStream;
  /** Learns every message, whatever the level that is shown; secrets are out of it. */
  onMessage?: (level: LogLevel, message: string) => void;
}

/**
 * What people see while a command works: messages and one progress line on standard error. On a terminal the
 * progress line is redrawn in place and never wider than the terminal; elsewhere it is a plain line every 10 s.
 */
export class Console implements Reporter {
  readonly #stream: NodeJS.WriteStream;
  readonly #threshold: number;
  readonly #isQuiet: boolean;
  readonly #redactor: Redactor;
  readonly #onMessage: ConsoleOptions['onMessage'];
  #log: LogFile | null = null;
  #lines: LiveLines | null = null;
  #endLines: (() => void) | null = null;
  /** Until the lines appear: what is over sooner would only flicker. */
  #waiting: NodeJS.Timeout | null = null;

  constructor(options: ConsoleOptions) {
    this.#stream = options.stream ?? process.stderr;
    this.#isQuiet = options.quiet === true;
    this.#threshold = Math.max(LOG_LEVELS[options.level], this.#isQuiet ? LOG_LEVELS.warning : 0);
    this.#redactor = options.redactor;
    this.#onMessage = options.onMessage;
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

  /** Several lines without a level, such as the summary's table. Control characters, which paths may have, are removed. */
  print(text: string): void {
    if (this.#isQuiet) return;
    this.#aboveProgress(`${sanitizeLines(this.#redactor.text(text))}\n`);
  }

  /**
   * Shows `render()` until the returned function is called.
   * @param render the progress line without a line end, or several of them; given the columns that there are
   */
  showProgress(render: (columns: number) => string | string[]): () => void {
    if (this.#isQuiet) return () => undefined;
    if (this.isTerminal) return this.#showLines((columns) => [render(columns)].flat());
    if (this.#threshold > LOG_LEVELS.info) return () => undefined;
    const timer = setInterval(() => {
      const line = [render(PLAIN_COLUMNS)].flat().join(' · ');
      this.#write(`${sanitize(this.#redactor.text(line), PLAIN_COLUMNS)}\n`);
    }, PLAIN_INTERVAL_MS);
    timer.unref();
    return () => {
      clearInterval(timer);
    };
  }

  /**
   * Shows several lines, redrawn in place, until the returned function is called. Only a terminal shows them; elsewhere
   * the caller passes what changes.
   * @param render the lines, at most as many as it is given room for
   */
  showTable(render: (rows: number) => string[]): () => void {
    if (!this.isTerminal || this.#isQuiet) return () => undefined;
    return this.#showLines(() => render(Math.max(3, this.#stream.rows - 2)));
  }

  /** True where lines can be redrawn in place, and somebody watches: CI services keep a log of what they show. */
  get isTerminal(): boolean {
    return this.#stream.isTTY && process.env['TERM'] !== 'dumb' && process.env['CI'] === undefined;
  }

  #showLines(render: (columns: number) => string[]): () => void {
    const waiting = setTimeout(() => void this.#startLines(render), PATIENCE_MS);
    this.#waiting = waiting;
    return () => {
      this.endProgress();
    };
  }

  async #startLines(render: (columns: number) => string[]): Promise<void> {
    const waiting = this.#waiting;
    const { LiveLines } = await import('./live-lines.js');
    // It may be over meanwhile.
    if (waiting === null || this.#waiting !== waiting) return;
    const lines = new LiveLines(this.#stream, { coloured: this.#hasColours });
    const draw = (): void => {
      const { columns } = lines;
      lines.draw(render(columns).map((line) => sanitize(this.#redactor.text(line), columns)));
    };
    const onContinue = (): void => {
      process.off('SIGTSTP', onSuspend).on('SIGTSTP', onSuspend);
      lines.forget();
      draw();
    };
    // Ctrl-Z: the shell gets its cursor back first, and then the signal does what it does without a listener.
    const onSuspend = (): void => {
      lines.stop();
      process.off('SIGTSTP', onSuspend);
      process.kill(process.pid, 'SIGTSTP');
    };
    const stop = (): void => {
      lines.stop();
    };
    this.#lines = lines;
    const timer = setInterval(draw, REDRAW_INTERVAL_MS);
    timer.unref();
    this.#stream.on('resize', draw);
    process.on('SIGTSTP', onSuspend);
    process.on('SIGCONT', onContinue);
    process.on('exit', stop);
    this.#endLines = () => {
      clearInterval(timer);
      this.#stream.off('resize', draw);
      process.off('SIGTSTP', onSuspend);
      process.off('SIGCONT', onContinue);
      process.off('exit', stop);
      stop();
    };
    draw();
  }

  /** Takes the progress line away and gives the terminal its cursor back; harmless where there is none. */
  endProgress(): void {
    if (this.#waiting !== null) clearTimeout(this.#waiting);
    this.#waiting = null;
    this.#endLines?.();
    this.#endLines = null;
    this.#lines = null;
  }

  #say(level: LogLevel, message: string): void {
    this.#log?.write(level, message);
    this.#onMessage?.(level, sanitize(this.#redactor.text(message), 2000));
    if (LOG_LEVELS[level] < this.#threshold) return;
    const prefix = level === 'info' || level === 'debug' ? '' : `${this.#coloured(level)}: `;
    this.#aboveProgress(`${prefix}${sanitize(this.#redactor.text(message), 2000)}\n`);
  }

  /** Colours that can be read on a dark and on a light background. */
  #coloured(level: 'warning' | 'error'): string {
    if (!this.#hasColours) return level;
    return level === 'error' ? `\u001b[1;31m${level}\u001b[0m` : `\u001b[1m${level}\u001b[0m`;
  }

  /** NO_COLOR (no-color.org) wins over FORCE_COLOR, and nothing but a terminal gets control characters. */
  get #hasColours(): boolean {
    const { NO_COLOR: no, FORCE_COLOR: force } = process.env;
    if (!this.isTerminal || (no !== undefined && no !== '')) return false;
    if (force !== undefined) return force !== '0' && force !== 'false';
    return this.#stream.hasColors();
  }

  #aboveProgress(text: string): void {
    if (this.#lines === null) this.#write(text);
    else this.#lines.writeAbove(text);
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
