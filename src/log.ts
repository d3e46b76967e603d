import { closeSync, openSync, writeSync } from 'node:fs';
import { inert, type Redactor } from './text.js';

/** Python's level numbers, which `--logging_level` accepts as well. */
export const LOG_LEVELS = { debug: 10, info: 20, warning: 30, error: 40 } as const;
export type LogLevel = keyof typeof LOG_LEVELS;

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
  #descriptor: number | null;
  readonly #threshold: number;
  readonly #redactor: Redactor;

  constructor(path: string, level: LogLevel, redactor: Redactor) {
    this.#descriptor = openSync(path, 'a', 0o600);
    this.#threshold = LOG_LEVELS[level];
    this.#redactor = redactor;
  }

  /** Appends one line where `level` is at or above the file's threshold. */
  write(level: LogLevel, message: string): void {
    if (this.#descriptor === null || LOG_LEVELS[level] < this.#threshold) return;
    const text = inert(this.#redactor.text(message), MAXIMUM_MESSAGE_LENGTH);
    try {
      writeSync(this.#descriptor, `${logTime(new Date())} - ${level.toUpperCase()} - ${text}\n`);
    } catch {
      // The disk is full or gone: what matters is told on stderr, and the answers come first.
    }
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }
}
