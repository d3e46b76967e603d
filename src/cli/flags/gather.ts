/** All that is said of a command's flags, from wherever it comes: command line, environment, file. */

import { bareFileReason } from '../../lib/files.js';
import { UsageError } from '../../lib/errors.js';
import { readSmallFile } from '../../lib/small-file.js';
import { sanitize } from '../../lib/text.js';
import { ADDRESS_FLAGS, KEY_FLAGS, knownSecrets } from '../../models/known-secrets.js';
import { refuseKey } from './refuse-keys.js';
import type { Redactor } from '../../secrets/redactor.js';
import type { CommandName } from '../commands.js';
import {
  commandLineLayer,
  mergeLayers,
  parseFlags,
  type Layer,
  type Parsed,
  type RawFlags,
} from './parse.js';
import { environmentLayer, strayVariables } from './variables.js';

/** Where values come from besides the command line. */
export interface Sources {
  /** Those of `--env_file` are added. */
  variables: NodeJS.ProcessEnv;
  /** Learns the secrets that any of them gives, before a message can show one. */
  redactor: Redactor;
}

/** Flags as values, and what is odd about where they come from. */
export interface Gathered<Command extends CommandName> extends Parsed<Command> {
  warnings: string[];
}

/**
 * The flags of a command. The command line wins over the environment, and that over the file of `--config`.
 * @throws UsageError that names where a value comes from, what it is and what is taken
 */
export async function gatherFlags<Command extends CommandName>(
  command: Command,
  raw: RawFlags,
  { variables, redactor }: Sources,
): Promise<Gathered<Command>> {
  const typed = commandLineLayer(raw);
  const envFile = textOf('env_file', typed, environmentLayer(command, variables));
  if (envFile !== null) loadVariables(envFile, variables);
  const environment = environmentLayer(command, variables);
  const config = textOf('config', typed, environment);
  const layers = [typed, environment, ...(config === null ? [] : [await readConfig(command, config)])];
  const merged = mergeLayers(command, layers);
  const addresses = ADDRESS_FLAGS.flatMap((name) => namesOf(merged, name));
  const keys = KEY_FLAGS.flatMap((name) => namesOf(merged, name));
  redactor.add(knownSecrets(variables, keys, addresses));
  for (const [name, { value, source }] of merged) refuseKey(name, value, source, redactor);
  return { ...parseFlags(command, merged), warnings: strayVariables(command, variables) };
}

async function readConfig(command: CommandName, path: string): Promise<Layer> {
  const { configLayer } = await import('./config-file.js');
  return configLayer(command, path);
}

/** The text of a flag in the first layer that has it. */
function textOf(name: string, ...layers: readonly Layer[]): string | null {
  const value = layers.find((layer) => layer.has(name))?.get(name)?.value;
  return typeof value === 'string' && value !== '' ? value : null;
}

function namesOf(layer: Layer, name: string): string[] {
  const value = layer.get(name)?.value;
  return typeof value === 'string' ? [value] : [];
}

/** Adds the variables of a file; those that are set already stay. */
function loadVariables(path: string, variables: NodeJS.ProcessEnv): void {
  let found: NodeJS.Dict<string>;
  try {
    // An import of this module loads all that it exports, at every start.
    found = process.getBuiltinModule('node:util').parseEnv(readSmallFile(path));
  } catch (error) {
    throw new UsageError(
      `--env_file ${sanitize(path, 200)} cannot be read: ${sanitize(bareFileReason(error), 200)}.`,
    );
  }
  for (const [name, value] of Object.entries(found)) variables[name] ??= value;
}
