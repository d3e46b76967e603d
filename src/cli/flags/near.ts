/** The flag that a name was probably meant to be. */

import { nearWord } from '../../lib/suggest.js';
import type { CommandName } from '../commands.js';
import { flagsOf } from './table.js';

/** A name that starts like this many flags says nothing. */
const MOST_BEGINNINGS = 3;

/** A flag of a command by one of its names in other tools, or the one with the nearest name; null where none is near. */
export function nearFlag(command: CommandName, given: string): string | null {
  const flags = flagsOf(command);
  const alias = flags.find(({ aliases = [] }) => aliases.includes(given));
  if (alias !== undefined) return alias.name;
  const names = flags.map(({ name }) => name);
  // A flag's own name goes before a nearer one of another tool.
  const near =
    nearWord(given, names) ??
    nearWord(
      given,
      flags.flatMap(({ aliases = [] }) => aliases),
    );
  return flags.find(({ name, aliases = [] }) => name === near || aliases.includes(near ?? ''))?.name ?? null;
}

/** Flags whose names begin with what was given, such as `--latency_ms` for `--latency`; none where too many do. */
export function flagsBeginningWith(command: CommandName, given: string): string[] {
  const names = flagsOf(command)
    .map(({ name }) => name)
    .filter((name) => given.length > 2 && name.startsWith(given));
  return names.length > MOST_BEGINNINGS ? [] : names;
}
