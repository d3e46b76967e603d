/** The flag that a name was probably meant to be. */

import { nearest } from '../../lib/suggest.js';
import type { CommandName } from '../commands.js';
import { flagsOf } from './table.js';

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

/** The known word that a mistyped one is near to; null where it has little in common with all of them. */
export function nearWord(given: string, known: readonly string[]): string | null {
  const farthest = given.length < 3 ? 0 : Math.max(1, Math.floor(given.length * 0.4));
  const [found] = nearest(given, known, 1, farthest);
  return found ?? null;
}
