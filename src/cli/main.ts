/** What every command does around its work: signals, messages, errors, exit codes. */

import { CommanderError } from 'commander';
import { EXIT, messageOf, UserError } from '../lib/errors.js';
import { failedAction, fileProblem, isFileProblem } from '../lib/files.js';
import { Interruption } from '../terminal/interruption.js';
import { correctWords } from './corrections.js';
import { COMMANDS, type CommandName } from './commands.js';
import { refuseTypedKeys } from './flags/refuse-keys.js';
import { variableOf } from './flags/variables.js';
import { handlersOf, type Invocation } from './handlers.js';
import { packageVersion } from '../lib/package.js';
import { reannotateProgram, watchBatchProgram } from './program.js';
import { plainWords } from './words.js';
import { finishOutput, tolerateBrokenStreams, writeOutput } from '../terminal/output.js';
import { Console } from '../terminal/progress.js';
import {
  ADDRESS_FLAGS,
  addressesAmong,
  KEY_FLAGS,
  knownSecrets,
  valuesOfFlag,
} from '../models/known-secrets.js';
import { Redactor } from '../secrets/redactor.js';
import { sanitize } from '../lib/text.js';

/** The programs that the package installs. */
const PROGRAMS = { reannotate: reannotateProgram, 'watch-batch': watchBatchProgram };

/**
 * Parses the command line, runs what it asks for and sets the exit code.
 * @param name of the program
 */
export async function runProgram(name: keyof typeof PROGRAMS): Promise<void> {
  const interruption = new Interruption();
  const stopListening = interruption.listen();
  tolerateBrokenStreams();
  const redactor = redactorFor(process.argv);
  let console = new Console({ level: 'info', redactor });
  const command = commandFor(name, process.argv.slice(2));
  const words = plainWords(command, process.argv.slice(2));
  const invocation: Invocation = {
    words,
    interruption,
    sources: { variables: process.env, redactor },
    open: (settings) => (console = new Console({ ...settings, redactor })),
  };
  // What Node prints of a crash holds everything that is on the error, such as a request with its headers.
  const crash = (error: unknown): never => {
    console.endProgress();
    process.exit(explain(error, console, interruption));
  };
  process.on('uncaughtException', crash);
  try {
    refuseTypedKeys(process.argv.slice(2), redactor);
    if (isBare(name, words)) {
      const { overview } = await import('./overview.js');
      writeOutput(overview(packageVersion()));
    } else {
      const program = PROGRAMS[name](packageVersion(), handlersOf(invocation), command);
      const writeErr = (text: string): void => void process.stderr.write(redactor.text(text));
      for (const one of [program, ...program.commands])
        one.configureOutput({ writeOut: writeOutput, writeErr });
      correctWords(program, command, words);
      await program.parseAsync(words, { from: 'user' });
    }
  } catch (error) {
    console.endProgress();
    process.exitCode = explain(error, console, interruption);
  }
  try {
    await finishOutput();
  } catch (error) {
    const exitCode = explain(error, console, interruption);
    // What went wrong before counts for more.
    if (process.exitCode === undefined || process.exitCode === EXIT.done) process.exitCode = exitCode;
  }
  process.off('uncaughtException', crash);
  if (interruption.signal === null) stopListening();
  else exitAtOnce(interruption.signal);
}

/**
 * Ends the process after a signal, without what Node does at an ordinary end: that takes some milliseconds, in which a second
 * signal (a key that is held, a scheduler that sends it twice) would kill the process and hide its exit code.
 */
function exitAtOnce(signal: NodeJS.Signals): void {
  const exit = (): void => process.exit();
  // Where the reader of the last message does not read it, a second signal still ends the process.
  process.once(signal, exit);
  process.stderr.write('', exit);
}

/** The command that a command line is for: its first word (after `help`), or the program itself. */
function commandFor(program: CommandName, [first, second]: readonly string[]): CommandName {
  if (program !== 'reannotate') return program;
  const word = first === 'help' ? second : first;
  return COMMANDS.find((name) => name === word) ?? program;
}

/** True where nothing at all is asked for. */
function isBare(program: CommandName, words: readonly string[]): boolean {
  const flags = ['dataset', 'config'].map((name) => process.env[variableOf(program, name)] ?? '');
  return program === 'reannotate' && words.length === 0 && flags.every((value) => value === '');
}

/** Shows an error as the last thing on stderr and returns the exit code. */
function explain(error: unknown, console: Console, interruption: Interruption): number {
  // commander has written its message (or the help) itself.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.commandLine;
  if (interruption.soft.aborted && !(error instanceof UserError)) {
    console.warning('Stopped before any request was sent; run the same command again.');
    return interruption.exitCode;
  }
  if (error instanceof UserError) {
    console.error(error.message);
    return error.exitCode;
  }
  if (isFileProblem(error)) {
    const problem = fileProblem(error, failedAction(error));
    console.error(problem.message);
    return problem.exitCode;
  }
  const stack =
    error instanceof Error && process.env['REANNOTATE_DEBUG'] !== undefined
      ? (error.stack ?? '').split('\n')
      : [];
  console.error(
    `Unexpected error (this is a bug in reannotate): ${sanitize(messageOf(error), 500)}. Everything received is ` +
      'saved; run the command again with --resume. REANNOTATE_DEBUG=1 shows where it happened.',
  );
  if (stack.length > 0) console.print(['', ...stack].join('\n'));
  return EXIT.cannotGoOn;
}

/**
 * What hides secrets from the first message on: reading the flags may fail with an address or a key in the message. It
 * learns more as soon as it is known which key a run uses.
 */
function redactorFor(words: readonly string[]): Redactor {
  return new Redactor(
    knownSecrets(
      process.env,
      KEY_FLAGS.flatMap((name) => valuesOfFlag(words, name)),
      [...ADDRESS_FLAGS.flatMap((name) => valuesOfFlag(words, name)), ...addressesAmong(words)],
    ),
  );
}
