/** `--config FILE`: flags written as YAML. */

import { bareFileReason } from '../../lib/files.js';
import { UsageError } from '../../lib/errors.js';
import { isObject } from '../../lib/json.js';
import { readSmallFile } from '../../lib/small-file.js';
import { sanitize } from '../../lib/text.js';
import { resolveAnnotator } from '../../models/annotators.js';
import { flagValue, isGenerationName, SENT_BY_DEFAULT } from '../../models/generation.js';
import { COMMANDS, type CommandName } from '../commands.js';
import { nearFlag } from './near.js';
import type { Given, Layer } from './parse.js';
import { flagsOf, type CommandFlag } from './table.js';
import { keyOf } from './variables.js';

/**
 * What a file gives: a mapping of flags, or the `config.yaml` of a run, whose flags are in `params`.
 * @throws UsageError that names the file and the line or flag that is wrong
 */
export async function configLayer(command: CommandName, path: string): Promise<Layer> {
  const shown = sanitize(path, 200);
  const content = await readYaml(path, shown);
  const isOfRun = isObject(content['params']);
  const params = isObject(content['params']) ? withoutDefaults(content['params']) : content;
  const flags = new Map(flagsOf(command).map((flag) => [keyOf(command, flag.name), flag]));
  const layer = new Map<string, Given>();
  for (const [key, value] of Object.entries(params)) {
    const name = key.replaceAll('-', '_');
    const flag = flags.get(name);
    const source = `${name} in ${shown}`;
    if (flag === undefined) {
      if (!isOfRun) refuseUnknown(command, name, shown);
    } else if (!isOfRun || isOfThisRun(command, flag)) {
      const given = valueOf(flag, value, source);
      if (given !== null) layer.set(flag.name, { value: given, source });
    }
  }
  return layer;
}

/**
 * What code gives: the flags of a command by their names, as values or as the texts of a command line.
 * @throws UsageError that names the option that is wrong
 */
export function objectLayer(command: CommandName, options: Readonly<Record<string, unknown>>): Layer {
  const flags = new Map(flagsOf(command).map((flag) => [flag.name, flag]));
  const layer = new Map<string, Given>();
  for (const [name, value] of Object.entries(options)) {
    const flag = flags.get(name);
    const source = `The option ${sanitize(name, 60)}`;
    if (flag === undefined) throw unknownOption(command, name);
    // An option that is left undefined is as good as absent, as everywhere in JavaScript.
    const given = value === undefined ? null : valueOf(flag, value, source);
    if (given !== null) layer.set(name, { value: given, source });
  }
  return layer;
}

function unknownOption(command: CommandName, name: string): UsageError {
  const near = nearFlag(command, name);
  const hint = near === null ? '' : ` Did you mean ${near}?`;
  return new UsageError(`There is no option ${sanitize(name, 60)}.${hint}`);
}

/** Flags that say which run is meant. */
const NAMING: readonly string[] = ['dataset', 'annotator', 'save_dir', 'temp_dir', 'run_name'];

/** True for a flag that means for a command what it meant for the run: `--base_url` of `judge` is the judge's own. */
function isOfThisRun(command: CommandName, { name, isAction }: CommandFlag): boolean {
  if (command !== 'reannotate' && command !== 'watch-batch') return NAMING.includes(name);
  return isAction !== true;
}

async function readYaml(path: string, shown: string): Promise<Record<string, unknown>> {
  const { parse } = await import('yaml');
  let content: unknown;
  try {
    content = parse(readSmallFile(path));
  } catch (error) {
    const [line = ''] = bareFileReason(error).split('\n');
    throw new UsageError(`--config ${shown} cannot be read: ${sanitize(line, 200)}.`);
  }
  if (content === null || content === undefined) return {};
  if (!isObject(content))
    throw new UsageError(`--config ${shown} must hold flags and their values, such as "max_tokens: 512".`);
  return content;
}

/** @throws UsageError where no command has such a flag; one of another command is none of this one's business */
function refuseUnknown(command: CommandName, name: string, shown: string): void {
  if (COMMANDS.some((one) => flagsOf(one).some((flag) => keyOf(one, flag.name) === name))) return;
  const near = nearFlag(command, name);
  const hint = near === null ? '' : ` Did you mean ${near}?`;
  throw new UsageError(`--config ${shown}: there is no flag ${sanitize(name, 60)}.${hint}`);
}

/** A value as its flag takes it; null where it is as good as not given. */
function valueOf(flag: CommandFlag, value: unknown, source: string): string | true | null {
  const { name, kind } = flag;
  if (value === null || value === undefined)
    return SENT_BY_DEFAULT.has(name) && flag.group === 'generation' ? 'none' : null;
  if (value === true && kind.alone !== undefined) return true;
  if (Array.isArray(value)) return listOf(name, value, source);
  if (isObject(value)) return JSON.stringify(value);
  if (isGenerationName(name)) return flagValue(name, value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function listOf(name: string, values: readonly unknown[], source: string): string | null {
  const parts = values.map((one) => (typeof one === 'number' ? String(one) : one));
  const wrong = parts.find((one) => typeof one !== 'string' || one.includes(','));
  if (wrong !== undefined) {
    throw new UsageError(
      `${source} takes a list of texts without commas, not one with ${sanitize(JSON.stringify(wrong), 60)}.`,
    );
  }
  if (parts.length === 0) return null;
  return isGenerationName(name) ? flagValue(name, parts) : parts.join(',');
}

/** The settings of a run without the addresses and keys that its annotator has of itself. */
function withoutDefaults(params: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { annotator, base_url: baseUrl, api_key_env: variable } = params;
  if (typeof annotator !== 'string') return params;
  const { provider } = resolveAnnotator(annotator, true);
  const kept: Record<string, unknown> = { ...params };
  if (baseUrl === provider.baseUrl) delete kept['base_url'];
  if (variable === provider.apiKeyVariable) delete kept['api_key_env'];
  return kept;
}
