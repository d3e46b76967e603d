/** The command line: commander's commands, built from the flag table. */

import { Command, Option } from 'commander';
import { COMMAND_TEXTS } from './commands.js';
import { GROUPS, type CommandName } from './flags/flag.js';
import { helpOf } from './flags/help.js';
import type { RawFlags } from './flags/parse.js';
import { flagsOf, type CommandFlag } from './flags/table.js';

/** What the commands do; handed in, so that tests can look at what was parsed. */
export interface Handlers {
  reannotate(flags: RawFlags): Promise<void>;
  'watch-batch'(flags: RawFlags): Promise<void>;
  judge(flags: RawFlags): Promise<void>;
  /** @param path the run's folder; undefined where flags name the run */
  report(flags: RawFlags, path: string | undefined): Promise<void>;
  demo(flags: RawFlags): Promise<void>;
  simulate(flags: RawFlags): Promise<void>;
}

/** Commands that stand behind `reannotate`. */
const SUBCOMMANDS = ['judge', 'report', 'demo', 'simulate'] as const;

/** The program `reannotate`. */
export function reannotateProgram(version: string, handlers: Handlers): Command {
  const program = commandOf('reannotate', handlers).version(version).enablePositionalOptions();
  for (const name of SUBCOMMANDS) program.addCommand(commandOf(name, handlers));
  return program;
}

/** The program `watch-batch`. */
export function watchBatchProgram(version: string, handlers: Handlers): Command {
  return commandOf('watch-batch', handlers).version(version);
}

function commandOf(name: CommandName, handlers: Handlers): Command {
  const { description, usage, argument, more } = COMMAND_TEXTS[name];
  const command = new Command(name)
    .description(description)
    .usage(usage)
    .addHelpText('after', more)
    .allowExcessArguments(false)
    .exitOverride();
  if (argument !== undefined) command.argument(argument.name, argument.help);
  for (const flag of flagsOf(name)) command.addOption(optionOf(flag));
  return command.action(async (...given: unknown[]) => {
    // Arguments come first, then the flags, then the command itself.
    const [flags, path] = argument === undefined ? [given[0]] : [given[1], given[0]];
    await handlers[name](flags as RawFlags, path as string | undefined);
  });
}

function optionOf(flag: CommandFlag): Option {
  const { name, short, kind, group } = flag;
  const letter = short === undefined ? '' : `-${short}, `;
  const value = kind.argument === '' ? '' : ` ${kind.argument}`;
  const option = new Option(`${letter}--${name}${value}`, helpOf(flag)).helpGroup(`${GROUPS[group]}:`);
  return kind.repeats === true ? option.argParser(collect) : option;
}

function collect(value: string, earlier: string | undefined): string {
  return earlier === undefined ? value : `${earlier},${value}`;
}

/** Takes `--kebab-case` spellings of flags as well; values are left alone. */
export function acceptKebabCase(program: Command, argv: readonly string[]): string[] {
  // A flag may take a value in one command and none in another.
  const command = program.commands.find((one) => one.name() === argv[0]) ?? program;
  const takesValue = new Set(
    command.options.filter((option) => option.required).map((option) => option.long),
  );
  let isValue = false;
  return argv.map((word) => {
    if (isValue || !word.startsWith('--') || word === '--') {
      isValue = false;
      return word;
    }
    const [name = '', ...value] = word.split('=');
    const flag = `--${name.slice(2).replaceAll('-', '_')}`;
    isValue = takesValue.has(flag) && value.length === 0;
    return [flag, ...value].join('=');
  });
}
