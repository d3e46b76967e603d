/** The command line: commander's commands, built from the flag table. */

import { Command, Option } from 'commander';
import { COMMAND_TEXTS, COMMANDS, type CommandName } from './commands.js';
import { GROUPS } from './flags/flag.js';
import { helpOf } from './flags/help.js';
import type { RawFlags } from './flags/parse.js';
import { flagsOf, type CommandFlag } from './flags/table.js';

/**
 * What the commands do; a parameter, so that tests can check what was parsed.
 * @param argument the word without a flag, of commands that take one
 * @param all every such word, of commands that take several
 */
export type Handlers = Record<
  CommandName,
  (flags: RawFlags, argument: string | undefined, all: readonly string[]) => Promise<void>
>;

const SUBCOMMANDS = COMMANDS.filter((name) => name !== 'reannotate');

/**
 * The program `reannotate`.
 * @param invoked the command that the command line is for: building the flags of all others takes time at every start
 */
export function reannotateProgram(version: string, handlers: Handlers, invoked: CommandName): Command {
  const program = withFlags(bareCommand('reannotate'), 'reannotate', handlers)
    .version(version)
    .helpCommand('help [command]', 'show the flags of a command')
    .enablePositionalOptions();
  for (const name of SUBCOMMANDS) {
    const command = bareCommand(name);
    program.addCommand(name === invoked ? withFlags(command, name, handlers) : command);
  }
  return program;
}

/** The program `watch-batch`. */
export function watchBatchProgram(version: string, handlers: Handlers): Command {
  return withFlags(bareCommand('watch-batch'), 'watch-batch', handlers).version(version);
}

function bareCommand(name: CommandName): Command {
  const { summary, description, usage, more } = COMMAND_TEXTS[name];
  return new Command(name)
    .summary(summary)
    .description(description)
    .usage(usage)
    .addHelpText('after', more)
    .allowExcessArguments(false)
    .exitOverride();
}

function withFlags(command: Command, name: CommandName, handlers: Handlers): Command {
  const { argument } = COMMAND_TEXTS[name];
  if (argument !== undefined) command.argument(argument.name, argument.help);
  for (const flag of flagsOf(name)) command.addOption(optionOf(flag));
  return command.action(async (...given: unknown[]) => {
    // Arguments come first, then the flags, then the command itself.
    const [flags, path] = argument === undefined ? [given[0]] : [given[1], given[0]];
    const words = [path ?? []].flat() as string[];
    await handlers[name](flags as RawFlags, words[0], words);
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
