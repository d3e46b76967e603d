import { closeSync, writeSync } from 'node:fs';
import { UsageError } from '../lib/errors.js';
import { bareFileReason, openFile } from '../lib/files.js';
import type { Redactor } from '../secrets/redactor.js';
import { sanitize, plural } from '../lib/text.js';

/** Python's level numbers, which `--logging_level` accepts as well. */
export const LOG_LEVELS = { debug: 10, info: 20, warning: 30, error: 40 } as const;
export type LogLevel = keyof typeof LOG_LEVELS;

/**
 * `debug`, `info`, `warning` or `error`, or Python's 10, 20, 30 or 40.
 * @param source what gave it, for messages
 * @throws UsageError
 */
export function logLevelNamed(text: string, source: string): LogLevel {
  const wanted = text.toLowerCase() === 'warn' ? 'warning' : text.toLowerCase();
  const found = Object.entries(LOG_LEVELS).find(
    ([name, value]) => name === wanted || String(value) === wanted,
  );
  if (found !== undefined) return found[0] as LogLevel;
  throw new UsageError(
    `${source} takes debug, info, warning or error (or 10, 20, 30, 40), not ${sanitize(text, 40)}.`,
  );
}

const MAXIMUM_MESSAGE_LENGTH = 2000;

/** `2026-01-31 12:00:00,123`, in local time as Python's logging writes it. */
export function logTime(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time},${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/**
 * A run's `output.log`: one line an event, `2026-01-31 12:00:00,123 - INFO - message`. Prompts, answers and keys
 * are not for the log. A log that can't be written (a full disk) never stops a run.
 */
export class LogFile {
  /** Null where the file can't be opened, or is closed. */
  #descriptor: number | null = null;
  /** Lines that could not be written, and why. */
  #lost = 0;
  #reason = '';
  /** True where the file ends with a part of a line. */
  #isTorn = false;
  readonly #threshold: number;
  readonly #redactor: Redactor;

  constructor(
    private readonly path: string,
    level: LogLevel,
    redactor: Redactor,
  ) {
    try {
      this.#descriptor = openFile(path, 'append');
    } catch (error) {
      this.#reason = bareFileReason(error);
    }
    this.#threshold = LOG_LEVELS[level];
    this.#redactor = redactor;
  }

  /** Appends one line where `level` is at or above the file's threshold. */
  write(level: LogLevel, message: string): void {
    if (LOG_LEVELS[level] < this.#threshold) return;
    if (this.#descriptor === null) {
      this.#lost += 1;
      return;
    }
    const text = sanitize(this.#redactor.text(message), MAXIMUM_MESSAGE_LENGTH);
    const line = Buffer.from(
      `${this.#isTorn ? '\n' : ''}${logTime(new Date())} - ${level.toUpperCase()} - ${text}\n`,
    );
    try {
      this.#isTorn = writeSync(this.#descriptor, line) < line.length;
      if (this.#isTorn) this.#lost += 1;
    } catch (error) {
      // The disk is full or gone: the answers come first.
      this.#lost += 1;
      this.#reason = bareFileReason(error);
    }
  }

  /** What is missing from the file, as a sentence; null where nothing is. */
  get problem(): string | null {
    if (this.#lost === 0) return null;
    const reason = this.#reason === '' ? 'the disk is full' : this.#reason;
    return `${plural(this.#lost, 'line')} could not be written to ${this.path} (${sanitize(reason, 200)}).`;
  }

  close(): void {
    if (this.#descriptor === null) return;
    try {
      closeSync(this.#descriptor);
    } catch (error) {
      this.#lost += 1;
      this.#reason = bareFileReason(error);
    }
    this.#descriptor = null;
  }
}
