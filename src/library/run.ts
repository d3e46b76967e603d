/** Runs that a program starts: the same commands as on the terminal, with events instead of lines. */

import { existsSync } from 'node:fs';
import { objectLayer } from '../cli/flags/config-file.js';
import { parseFlags, type Parsed } from '../cli/flags/parse.js';
import { runSettings } from '../cli/run-settings.js';
import { watchSettings } from '../cli/watch-settings.js';
import type { CommandName } from '../cli/commands.js';
import { EXIT, UserError } from '../lib/errors.js';
import { failedAction, fileProblem, isFileProblem, readOwnText } from '../lib/files.js';
import { findRunFolder } from '../run/folder.js';
import { placeOf, type RunSettings } from '../run/settings.js';
import type { Summary } from '../run/summary.js';
import { cleanError } from '../secrets/clean-error.js';
import { Redactor } from '../secrets/redactor.js';
import type { CommandContext } from '../session/command-context.js';
import { Interruption } from '../terminal/interruption.js';
import { Console } from '../terminal/progress.js';
import { alone } from './alone.js';
import { EventQueue, type RunEvent } from './events.js';
import { RunInterrupted } from './interrupted.js';
import type { RunOptions, WatchBatchOptions } from './options.js';

/** What a run takes from the program that starts it, besides its options. */
export interface RunContext {
  /** Ends the run as Ctrl-C does: nothing more is sent, and what is in flight is awaited and saved. */
  signal?: AbortSignal;
  /** Where API keys and addresses are looked up; `process.env` where absent. */
  env?: NodeJS.ProcessEnv;
}

/** How a run ended. */
export interface RunResult {
  /** True where every row has an annotation. False where some have none, or batches are still to be collected. */
  isComplete: boolean;
  /** What `summary.json` says; null where batches were submitted and nothing is collected yet. */
  summary: Summary | null;
  /** Where the results are. */
  paths: {
    /** The folder of the results. */
    folder: string;
    reannotated: string;
    summary: string;
    config: string;
    /** Null where every row is `ok`. */
    failedRows: string | null;
    /** The run's working files, which `resume` needs. */
    working: string;
  };
  /** The command that watches and collects the batches that were submitted; null where none were. */
  watchCommand: string | null;
}

/**
 * A run in progress: await it for its result, or iterate over its events first. Both fail with the same error, which is a
 * `UserError` (or one of its kinds) where the run could not continue.
 */
export interface Run extends AsyncIterable<RunEvent>, PromiseLike<RunResult> {
  readonly result: Promise<RunResult>;
}

class StartedRun implements Run {
  readonly result: Promise<RunResult>;
  readonly #events = new EventQueue();

  /** @param start runs a command and returns its settings and exit code */
  constructor(
    start: (context: CommandContext) => Promise<Ended>,
    runContext: RunContext,
    redactor: Redactor,
  ) {
    this.result = this.#follow(start, runContext, redactor);
    // A reader of the events gets the error there, and need not await the result.
    this.result.catch(() => undefined);
  }

  [Symbol.asyncIterator](): AsyncIterator<RunEvent> {
    return this.#events.read();
  }

  then<Fulfilled = RunResult, Rejected = never>(
    onFulfilled?: ((result: RunResult) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return this.result.then(onFulfilled, onRejected);
  }

  async #follow(
    start: (context: CommandContext) => Promise<Ended>,
    { signal }: RunContext,
    redactor: Redactor,
  ): Promise<RunResult> {
    const interruption = new Interruption();
    const stopFollowing = signal === undefined ? (): void => undefined : interruption.follow(signal);
    let watchCommand: string | null = null;
    const context: CommandContext = {
      console: this.#console(redactor),
      interruption,
      resumeCommand: 'the same call with resume: true',
      output: (text) => {
        watchCommand = text.trim();
        return Promise.resolve();
      },
      onProgress: (progress) => {
        this.#events.push({ type: 'progress', progress });
      },
    };
    try {
      const { settings, exitCode } = await alone(() => start(context));
      if (interruption.signal !== null && exitCode === interruption.exitCode) throw new RunInterrupted();
      this.#events.end();
      return resultOf(settings, exitCode, watchCommand);
    } catch (error) {
      const problem = cleanError(asProblem(error, interruption), redactor);
      this.#events.fail(problem);
      throw problem;
    } finally {
      stopFollowing();
    }
  }

  #console(redactor: Redactor): Console {
    return new Console({
      level: 'error',
      quiet: true,
      redactor,
      stream: SILENT,
      onMessage: (level, message) => {
        if (level !== 'debug') this.#events.push({ type: 'message', level, message });
      },
    });
  }
}

/** What a command came to. */
interface Ended {
  settings: RunSettings;
  exitCode: number;
}

/** A stream that shows nothing: what a run says are its events. */
const SILENT = { isTTY: false, write: () => true } as unknown as NodeJS.WriteStream;

/**
 * Regenerates the answers of a dataset, as `reannotate` does on the command line.
 * @param options the flags of the command by their names, as values
 * @throws UsageError (from the result) where an option is unknown or wrong
 */
export function reannotate(options: RunOptions, runContext: RunContext = {}): Run {
  const redactor = new Redactor();
  const start = async (context: CommandContext): Promise<Ended> => {
    const settings = runSettings(parse('reannotate', options), environment(runContext, redactor));
    const { reannotate: command } = await import('../commands/reannotate.js');
    return { settings, exitCode: await command(settings, context) };
  };
  return new StartedRun(start, runContext, redactor);
}

/**
 * Watches and collects the batches of a run, as `watch-batch` does on the command line.
 * @param options the flags of the command by their names, as values
 * @throws UsageError (from the result) where an option is unknown or wrong
 */
export function watchBatch(options: WatchBatchOptions, runContext: RunContext = {}): Run {
  const redactor = new Redactor();
  const start = async (context: CommandContext): Promise<Ended> => {
    const watching = watchSettings(parse('watch-batch', options), environment(runContext, redactor));
    const { watchBatch: command } = await import('../commands/watch-batch.js');
    return { settings: watching.run, exitCode: await command(watching, context) };
  };
  return new StartedRun(start, runContext, redactor);
}

function parse<Command extends CommandName>(command: Command, options: object): Parsed<Command> {
  return parseFlags(command, objectLayer(command, { ...options }));
}

function environment(
  { env = process.env }: RunContext,
  redactor: Redactor,
): { variables: NodeJS.ProcessEnv; redactor: Redactor } {
  return { variables: env, redactor };
}

function resultOf(settings: RunSettings, exitCode: number, watchCommand: string | null): RunResult {
  const folder = findRunFolder(placeOf(settings));
  const isSubmitted = watchCommand !== null;
  return {
    isComplete: exitCode === EXIT.done && !isSubmitted,
    summary: isSubmitted ? null : readSummary(folder.summary),
    paths: {
      folder: folder.save,
      reannotated: folder.reannotated,
      summary: folder.summary,
      config: folder.config,
      failedRows: existsSync(folder.failedRows) ? folder.failedRows : null,
      working: folder.temp,
    },
    watchCommand,
  };
}

/** Null where the run wrote none, because it has to wait for its batches. */
function readSummary(path: string): Summary | null {
  return existsSync(path) ? (JSON.parse(readOwnText(path)) as Summary) : null;
}

/** Errors of files are sentences for the user as well; anything else is a defect of ours and stays what it is. */
function asProblem(error: unknown, interruption: Interruption): unknown {
  if (error instanceof UserError) return error;
  if (interruption.soft.aborted) return new RunInterrupted();
  return isFileProblem(error) ? fileProblem(error, failedAction(error)) : error;
}
