/** What every command does around its work: signals, messages, errors, exit codes. */

import { CommanderError } from 'commander';
import { EXIT, messageOf, UserError } from '../lib/errors.js';
import { failedAction, fileProblem, isFileProblem } from '../lib/files.js';
import { Interruption } from '../terminal/interruption.js';
import type { LogLevel } from '../terminal/log.js';
import { COMMANDS, type CommandName } from './flags/flag.js';
import { commandLineLayer, mergeLayers, parseFlags, type Parsed, type RawFlags } from './flags/parse.js';
import { runSettings } from './run-settings.js';
import { packageVersion } from '../lib/package.js';
import { reannotateProgram, watchBatchProgram, type Handlers } from './program.js';
import { plainWords } from './words.js';
import { finishOutput, tolerateBrokenStreams, writeOutput } from '../terminal/output.js';
import { Console } from '../terminal/progress.js';
import { withoutSecrets } from '../http/address.js';
import { knownSecrets, valuesOfFlag } from '../secrets/known-secrets.js';
import { Redactor } from '../secrets/redactor.js';
import { inert, shellWord } from '../lib/text.js';

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
  /** A command's values, and the console that its level asks for. */
  const parse = <Name extends CommandName>(name: Name, raw: RawFlags): Parsed<Name> => {
    const parsed = parseFlags(name, mergeLayers(name, [commandLineLayer(raw)]));
    const { logging_level: level = 'info' } = parsed.values as { logging_level?: LogLevel };
    console = new Console({ level, redactor });
    return parsed;
  };
  const surrounding = { variables: process.env, redactor };
  const command = commandOf(name, process.argv[2]);
  const words = plainWords(command, process.argv.slice(2));
  const handlers: Handlers = {
    reannotate: async (raw) => {
      const parsed = parse('reannotate', raw);
      const settings = runSettings(parsed, surrounding);
      const { resumeCommandLine } = await import('../session/next-command.js');
      const resumeCommand = resumeCommandLine(words);
      const context = { console, interruption, resumeCommand, words };
      if (parsed.values.dry_run) {
        const { dryRun } = await import('../commands/dry-run.js');
        process.exitCode = await dryRun(settings, parsed.values, context);
        return;
      }
      const { reannotate } = await import('../commands/reannotate.js');
      process.exitCode = await reannotate(settings, context);
    },
    'watch-batch': async (raw) => {
      const { watchBatch } = await import('../commands/watch-batch.js');
      const { watchSettings } = await import('./watch-settings.js');
      const settings = watchSettings(parse('watch-batch', raw), surrounding);
      const resumeCommand = shownCommandLine(['npx', 'watch-batch', ...words]);
      process.exitCode = await watchBatch(settings, { console, interruption, resumeCommand });
    },
    judge: async (raw) => {
      const { judge } = await import('../commands/judge.js');
      const { judgeSettings } = await import('./judge-settings.js');
      const settings = judgeSettings(parse('judge', raw), surrounding);
      const resumeCommand = shownCommandLine(['npx', 'reannotate', ...words]);
      process.exitCode = await judge(settings, { console, interruption, resumeCommand, words });
    },
    report: async (raw, path) => {
      const { report } = await import('../commands/report.js');
      const { values, given } = parse('report', raw);
      const request = {
        path: path ?? null,
        dataset: values.dataset,
        annotator: values.annotator,
        saveDir: values.save_dir,
        tempDir: given.has('temp_dir') ? values.temp_dir : null,
        runName: values.run_name,
        output: values.output,
        sample: values.sample,
        rows: values.rows,
      };
      process.exitCode = await report(request, console);
    },
    demo: async (raw) => {
      const { demo } = await import('../commands/demo.js');
      const { values } = parse('demo', raw);
      const request = {
        batch: values.batch,
        judge: values.judge,
        saveDir: values.save_dir,
        tempDir: values.temp_dir,
        formats: values.output_format,
        repository: values.push_to_hub,
      };
      process.exitCode = await demo(request, { console, interruption });
    },
    simulate: async (raw) => {
      const { simulate } = await import('../commands/simulate.js');
      const { simulatorOptions } = await import('./simulator-options.js');
      await simulate(simulatorOptions(parse('simulate', raw)), interruption.soft);
    },
  };
  try {
    const program = PROGRAMS[name](packageVersion(), handlers, command);
    for (const one of [program, ...program.commands]) one.configureOutput({ writeOut: writeOutput });
    await program.parseAsync(words, { from: 'user' });
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

/** The command that a command line is for: its first word, or the program itself. */
function commandOf(program: CommandName, word: string | undefined): CommandName {
  return (program === 'reannotate' ? COMMANDS.find((name) => name === word) : undefined) ?? program;
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
