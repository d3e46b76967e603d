/** `--events`: what happens during a command, as JSON Lines for dashboards and scripts. */

import { closeSync } from 'node:fs';
import { fileProblem, openFile, writeAll } from '../lib/files.js';
import { messageOf, UserError } from '../lib/errors.js';
import type { Redactor } from '../secrets/redactor.js';
import { writeOutput } from '../terminal/output.js';
import type { BatchProgress } from '../batches/display.js';
import type { Progress } from './progress.js';
import type { CommandContext } from './command-context.js';

/** Names standard output. */
const STANDARD_OUTPUT = '-';

/** A line, besides its time. */
export type EventLine =
  | { event: 'started'; command: string }
  | ({ event: 'progress' } & Progress)
  /** A look at a run's batches. */
  | ({ event: 'batches' } & BatchProgress)
  /** Nothing is sent until then, since other hours are off-peak; until `resumed` there is no `progress`. */
  | { event: 'paused'; until: string }
  | { event: 'resumed' }
  /** `error` is what the command says on standard error; null where it ends by itself. */
  | { event: 'ended'; exit_code: number; error: string | null };

/** Where events go. */
export interface EventTarget {
  /** A file, which is appended to, or `-` for standard output. */
  path: string;
  redactor: Redactor;
}

/**
 * Runs a command, and says on the way how far it is: at its start, every second while requests are sent, and at its end.
 * @param work gets the context, which reports progress
 * @throws UserError where the file can't be written, before anything else happens; later that is a warning
 */
export async function reportingEvents(
  { path, redactor }: EventTarget,
  command: string,
  context: CommandContext,
  work: (context: CommandContext) => Promise<number>,
): Promise<number> {
  const log = new EventLog(path, context.console);
  let isPaused = false;
  log.write({ event: 'started', command });
  try {
    const exitCode = await work({
      ...context,
      onProgress: (progress) => {
        context.onProgress?.(progress);
        if (!isPaused) log.write({ event: 'progress', ...progress });
      },
      onBatches: (progress) => {
        context.onBatches?.(progress);
        log.write({ event: 'batches', ...progress });
      },
      onPause: (until) => {
        context.onPause?.(until);
        isPaused = until !== null;
        log.write(until === null ? { event: 'resumed' } : { event: 'paused', until: until.toISOString() });
      },
    });
    log.write({ event: 'ended', exit_code: exitCode, error: null });
    return exitCode;
  } catch (error) {
    const exitCode = error instanceof UserError ? error.exitCode : 1;
    log.write({ event: 'ended', exit_code: exitCode, error: redactor.text(messageOf(error)) });
    throw error;
  } finally {
    log.close();
  }
}

class EventLog {
  /** Null for standard output. */
  readonly #descriptor: number | null;
  #hasFailed = false;

  constructor(
    private readonly path: string,
    private readonly console: CommandContext['console'],
  ) {
    try {
      this.#descriptor = path === STANDARD_OUTPUT ? null : openFile(path, 'append');
    } catch (error) {
      throw fileProblem(error, `write --events ${path}`);
    }
  }

  write(event: EventLine): void {
    if (this.#hasFailed) return;
    const line = `${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`;
    if (this.#descriptor === null) {
      writeOutput(line);
      return;
    }
    try {
      writeAll(this.#descriptor, Buffer.from(line));
    } catch (error) {
      this.#hasFailed = true;
      this.console.warning(
        `${fileProblem(error, `write --events ${this.path}`).message} The run continues without it.`,
      );
    }
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
  }
}
