/** `REANNOTATE_*`: the environment variable of every flag. */

import { nearFlag } from './near.js';
import type { Given, Layer } from './parse.js';
import { COMMANDS, type CommandName } from '../commands.js';
import { flagsOf, ownFlagsOf, SHARED_FLAGS } from './table.js';
import { HUB_HOSTS_VARIABLE } from '../../types.js';

const PREFIX = 'REANNOTATE_';
/** Variables of that name that are no flags. */
const OTHERS: ReadonlySet<string> = new Set([HUB_HOSTS_VARIABLE, `${PREFIX}DEBUG`]);

/**
 * What a flag is called where it is not said which command is meant: one that means something else in another command
 * has the command in its name, such as `judge_seed`.
 */
export function keyOf(command: CommandName, name: string): string {
  return isAmbiguous(command, name) ? `${command.replaceAll('-', '_')}_${name}` : name;
}

/** The variable of a flag. */
export function variableOf(command: CommandName, name: string): string {
  return `${PREFIX}${keyOf(command, name)}`.toUpperCase();
}

function isAmbiguous(command: CommandName, name: string): boolean {
  if (!Object.hasOwn(ownFlagsOf(command), name)) return false;
  const others = COMMANDS.filter((one) => one !== command);
  return Object.hasOwn(SHARED_FLAGS, name) || others.some((one) => Object.hasOwn(ownFlagsOf(one), name));
}

/** What the environment gives; an empty variable is as good as none. */
export function environmentLayer(command: CommandName, variables: NodeJS.ProcessEnv): Layer {
  const entries = flagsOf(command).flatMap(({ name }): [string, Given][] => {
    const source = variableOf(command, name);
    const value = variables[source]?.trim() ?? '';
    return value === '' ? [] : [[name, { value, source }]];
  });
  return new Map(entries);
}

/** Variables that look like those of flags and are not, each as a sentence with the one that may be meant. */
export function strayVariables(command: CommandName, variables: NodeJS.ProcessEnv): string[] {
  const candidates = Object.keys(variables).filter((name) => name.startsWith(PREFIX) && !OTHERS.has(name));
  // The flags of all commands are collected only where there is a variable to look for.
  if (candidates.length === 0) return [];
  const known = new Set(COMMANDS.flatMap((one) => flagsOf(one).map(({ name }) => variableOf(one, name))));
  return candidates
    .filter((name) => !known.has(name))
    .map((name) => {
      const near = nearFlag(command, name.slice(PREFIX.length).toLowerCase());
      const hint = near === null ? '' : ` Did you mean ${variableOf(command, near)}?`;
      return `The environment variable ${name} was ignored, because there is no such flag.${hint}`;
    });
}
