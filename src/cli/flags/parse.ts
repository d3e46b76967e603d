/** From texts to typed values: what the command line, the environment and a file say of a command's flags. */

import { UsageError } from '../../lib/errors.js';
import type { CommandName } from '../commands.js';
import { flagsOf, type CommandFlag, type Values } from './table.js';

/** Raw values as commander hands them over: text, or true for a flag alone. */
export type RawFlags = Readonly<Record<string, string | boolean | undefined>>;

/** What one flag was given, and where. */
export interface Given {
  value: string | true;
  /** For messages: `--limit`, `REANNOTATE_LIMIT` or `limit in config.yaml`. */
  source: string;
}

/** What flags were given by one source. */
export type Layer = ReadonlyMap<string, Given>;

/** The flags of a command as values. */
export interface Parsed<Command extends CommandName> {
  values: Values<Command>;
  /** The flags that were given anywhere; the others have their defaults. */
  given: ReadonlySet<string>;
}

/** What the command line gives. */
export function commandLineLayer(raw: RawFlags): Layer {
  const entries = Object.entries(raw).flatMap(([name, value]): [string, Given][] =>
    value === undefined || value === false ? [] : [[name, { value, source: `--${name}` }]],
  );
  return new Map(entries);
}

/**
 * Merges layers, the first of which wins. A flag that excludes another one replaces it where that comes from a later
 * layer, so that `--resume` on the command line goes before an `overwrite` of the environment.
 */
export function mergeLayers(command: CommandName, layers: readonly Layer[]): Layer {
  const flags = flagsOf(command);
  const merged = new Map<string, Given>();
  for (const layer of layers) {
    const taken = new Set(
      flags.filter(({ name }) => merged.has(name)).flatMap(({ excludes }) => excludes ?? []),
    );
    for (const { name, excludes } of flags) {
      const given = layer.get(name);
      const isReplaced = merged.has(name) || (excludes !== undefined && taken.has(excludes));
      if (given !== undefined && !isReplaced) merged.set(name, given);
    }
  }
  return merged;
}

/**
 * Reads every flag of a command.
 * @throws UsageError that names where the value comes from, what it is and what is taken
 */
export function parseFlags<Command extends CommandName>(command: Command, layer: Layer): Parsed<Command> {
  const flags = flagsOf(command);
  const values = Object.fromEntries(
    flags.map((flag) => {
      const given = layer.get(flag.name);
      return [flag.name, given === undefined ? flag.fallback : readGiven(flag, given)];
    }),
  );
  refuseBoth(flags, layer, values);
  return { values: values as Values<Command>, given: new Set(layer.keys()) };
}

function readGiven({ kind }: CommandFlag, { value, source }: Given): unknown {
  if (value !== true) {
    if (value === '') throw new UsageError(`${source} is empty.`);
    return kind.read(value, source);
  }
  if (kind.alone === undefined) throw new UsageError(`${source} needs a value.`);
  return kind.alone;
}

/** @throws UsageError where two flags are given of which only one can be */
function refuseBoth(
  flags: readonly CommandFlag[],
  layer: Layer,
  values: Readonly<Record<string, unknown>>,
): void {
  const groups = new Map<string, string[]>();
  for (const { name, excludes } of flags) {
    const given = layer.get(name);
    // A switch that is switched off excludes nothing.
    if (excludes === undefined || given === undefined || values[name] === false) continue;
    groups.set(excludes, [...(groups.get(excludes) ?? []), given.source]);
  }
  for (const sources of groups.values()) {
    if (sources.length > 1)
      throw new UsageError(`${sources.join(' and ')} cannot be combined; give only one of them.`);
  }
}
