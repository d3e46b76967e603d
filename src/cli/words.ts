/** The words of a command line, brought into one spelling. */

import type { CommandName } from './commands.js';
import { flagsOf, takesValue } from './flags/table.js';

/**
 * `--kebab-case` becomes `--snake_case`, and a letter (`-m NAME`, `-mNAME`) its flag; values are left alone.
 * @param command whose flags they are: one may take a value in one command and none in another
 */
export function plainWords(command: CommandName, argv: readonly string[]): string[] {
  const flags = flagsOf(command);
  const letters = new Map(
    flags.flatMap(({ short, name }) => (short === undefined ? [] : [[short, name] as const])),
  );
  const valued = new Set(flags.filter(takesValue).map(({ name }) => name));
  const toggles = new Set(flags.filter(({ kind }) => kind.argument === '').map(({ name }) => name));
  let isValue = false;
  let isOver = false;
  return argv.flatMap((word) => {
    isOver ||= word === '--' && !isValue;
    if (isOver || isValue || !/^-./.test(word)) {
      isValue = false;
      return [word];
    }
    const { name, value } = word.startsWith('--') ? longFlag(word) : shortFlag(word, letters);
    if (name === null) return [word];
    if (toggles.has(name) && value !== null) return toggled(name, value, word, letters);
    isValue = valued.has(name) && value === null;
    if (value === null) return [`--${name}`];
    return [`--${name}=${value}`];
  });
}

/** `--resume=true` and `--resume=false`, and letters in one word (`-qy`). */
function toggled(name: string, value: string, word: string, letters: ReadonlyMap<string, string>): string[] {
  if (/^true$/i.test(value)) return [`--${name}`];
  if (/^false$/i.test(value)) return [];
  const more = word.startsWith('--') ? [] : value.split('').map((letter) => letters.get(letter));
  const isWhole = more.length > 0 && more.every((one) => one !== undefined);
  return isWhole ? [name, ...more].map((one) => `--${one}`) : [`--${name}=${value}`];
}

interface Word {
  /** Null where it is no flag. */
  name: string | null;
  /** What is in the same word; null where nothing does. */
  value: string | null;
}

function longFlag(word: string): Word {
  const equals = word.indexOf('=');
  const name = (equals === -1 ? word : word.slice(0, equals)).slice(2).replaceAll('-', '_');
  return { name, value: equals === -1 ? null : word.slice(equals + 1) };
}

function shortFlag(word: string, letters: ReadonlyMap<string, string>): Word {
  const name = letters.get(word.charAt(1)) ?? null;
  const rest = word.slice(2).replace(/^=/, '');
  return { name, value: rest === '' ? null : rest };
}
