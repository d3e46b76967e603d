/** What every command does around its work: signals, messages, errors, exit codes. */

import { CommanderError, type Command } from 'commander';
import { EXIT, messageOf, UserError } from '../lib/errors.js';
import { failedAction, fileProblem, isFileProblem } from '../lib/files.js';
import { Interruption } from '../terminal/interruption.js';
import { parseLogLevel, parseRunOptions, type RawFlags } from './options.js';
import { packageVersion } from '../lib/package.js';
import { acceptKebabCase, type Handlers } from './program.js';
import { finishOutput, tolerateBrokenStreams, writeOutput } from '../terminal/output.js';
import { Console } from '../terminal/progress.js';
import { withoutSecrets } from '../http/address.js';
import { knownSecrets, valuesOfFlag } from '../secrets/known-secrets.js';
import { Redactor } from '../secrets/redactor.js';
import { inert, shellWord } from '../lib/text.js';

/**
 * Parses the command line, runs what it asks for and sets the exit code.
 * @param makeProgram builds the commander program around the handlers
 */
export async function runProgram(
  makeProgram: (version: string, handlers: Handlers) => Command,
): Promise<void> {
  const interruption = new Interruption();
  const stopListening = interruption.listen();
  tolerateBrokenStreams();
  const redactor = redactorFor(process.argv);
  let console = new Console({ level: 'info', redactor });
  const command = (flags: RawFlags): Console => {
    const level = typeof flags['logging_level'] === 'string' ? flags['logging_level'] : null;
    console = new Console({ level: parseLogLevel(level), redactor });
    return console;
  };
  const handlers: Handlers = {
    reannotate: async (flags) => {
      const { reannotate } = await import('../commands/reannotate.js');
      const options = parseRunOptions(flags, process.env, redactor);
      const words = process.argv.slice(2);
      const { resumeCommandLine } = await import('../session/next-command.js');
      const resumeCommand = resumeCommandLine(words);
      process.exitCode = await reannotate(options, {
        console: command(flags),
        interruption,
        resumeCommand,
        words,
      });
    },
    watchBatch: async (flags) => {
      const { watchBatch } = await import('../commands/watch-batch.js');
      const { parseWatchOptions } = await import('./watch-options.js');
      const options = parseWatchOptions(flags, process.env, redactor);
      const resumeCommand = shownCommandLine(['npx', 'watch-batch', ...process.argv.slice(2)]);
      process.exitCode = await watchBatch(options, { console: command(flags), interruption, resumeCommand });
    },
    judge: async (flags) => {
      const { judge } = await import('../commands/judge.js');
      const { parseJudgeOptions } = await import('../judge/options.js');
      const options = parseJudgeOptions(flags, process.env, redactor);
      const words = process.argv.slice(2);
      const resumeCommand = shownCommandLine(['npx', 'reannotate', ...words]);
      process.exitCode = await judge(options, {
        console: command(flags),
        interruption,
        resumeCommand,
        words,
      });
    },
    report: async (path, flags) => {
      const { report } = await import('../commands/report.js');
      process.exitCode = await report(path ?? null, flags, command(flags));
    },
    demo: async (flags) => {
      const { demo } = await import('../commands/demo.js');
      process.exitCode = await demo(flags, { console: command(flags), interruption });
    },
    simulate: async (flags) => {
      const { simulate } = await import('../commands/simulate.js');
      await simulate(flags, interruption.soft);
    },
  };
  try {
    const program = makeProgram(packageVersion(), handlers);
    for (const one of [program, ...program.commands]) one.configureOutput({ writeOut: writeOutput });
    await program.parseAsync(acceptKebabCase(program, process.argv.slice(2)), { from: 'user' });
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
  stopListening();
}

/** Shows an error as the last thing on stderr and returns the exit code. */
function explain(error: unknown, console: Console, interruption: Interruption): number {
  // commander has written its message (or the help) itself.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.commandLine;
  if (interruption.soft.aborted && !(error instanceof UserError)) {
    console.warning('Stopped before anything was asked; run the same command again.');
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
    error instanceof Error && process.env['REANNOTATE_DEBUG'] !== undefined ? `\n${error.stack ?? ''}` : '';
  console.error(
    `An unexpected problem, which is a defect of reannotate: ${inert(messageOf(error), 500)}. What was received is ` +
      'saved; run the command again with --resume. REANNOTATE_DEBUG=1 shows where it happened.',
  );
  if (stack !== '') console.print(stack);
  return EXIT.cannotGoOn;
}

/**
 * What hides secrets from the first message on: reading the flags may fail with an address or a key in the message. It
 * learns more as soon as it is known which key a run uses.
 */
function redactorFor(words: readonly string[]): Redactor {
  return new Redactor(
    knownSecrets(process.env, valuesOfFlag(words, 'api_key_env'), valuesOfFlag(words, 'base_url')),
  );
}

/** A command line to paste; passwords and keys in addresses are left out. */
function shownCommandLine(words: readonly string[]): string {
  return words.map((word) => shellWord(withoutSecrets(word))).join(' ');
}
