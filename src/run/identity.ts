/** What makes two runs the same run; kept in `run.json`, and compared before a run goes on. */

import { existsSync, readFileSync } from 'node:fs';
import { DEFAULT_ENCODING } from '../datasets/encodings.js';
import { UserError } from '../errors.js';
import { replaceFile } from '../files.js';
import type { FormatName } from '../formats/index.js';
import type { GenerationParameters, RunOptions } from '../options.js';
import { inert } from '../text.js';

/** The flags that decide what is asked; the others may change between a run and its resumption. */
export interface AskedFor extends GenerationParameters {
  dataset: string;
  subset: string | null;
  split: string | null;
  format: string | null;
  prompt_column: string | null;
  response_column: string | null;
  system_column: string | null;
  /** Null where it is UTF-8. */
  encoding: string | null;
  limit: number | null;
  offset: number;
  annotator: string;
  model: string;
}

export interface RunIdentity {
  /** The version of this file's layout. */
  version: 1;
  uuid: string;
  created: string;
  asked: AskedFor;
  /** What was found; the revision pins a Hub dataset. */
  found: {
    revision: string | null;
    subset: string | null;
    split: string | null;
    format: FormatName;
    columns: string[];
  };
}

/** The identity that a command line asks for. */
export function askedFor(options: RunOptions): AskedFor {
  return {
    dataset: options.dataset,
    subset: options.subset,
    split: options.split,
    format: options.format,
    prompt_column: options.promptColumn,
    response_column: options.responseColumn,
    system_column: options.systemColumn,
    encoding: options.encoding === DEFAULT_ENCODING ? null : options.encoding,
    limit: options.limit,
    offset: options.offset,
    annotator: options.annotator.name,
    model: options.annotator.model,
    ...options.generation,
  };
}

/** Reads `run.json`; null where there is none. */
export function readIdentity(path: string): RunIdentity | null {
  if (!existsSync(path)) return null;
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Partial<RunIdentity>;
    if (value.version === 1 && typeof value.asked === 'object' && typeof value.found === 'object') {
      return value as RunIdentity;
    }
  } catch {
    // Falls through to the message.
  }
  throw new UserError(`${path} can't be read, so this run can't go on; start anew with --overwrite.`);
}

export async function writeIdentity(path: string, identity: RunIdentity): Promise<void> {
  await replaceFile(path, (file) => {
    file.write(`${JSON.stringify(identity, null, 2)}\n`);
  });
}

/**
 * Compares a run with what the command line asks for now.
 * @throws UserError that names each difference and the way out
 */
export function refuseChanges(earlier: AskedFor, now: AskedFor): void {
  const changes = Object.entries(now)
    .filter(
      ([flag, value]) =>
        JSON.stringify(earlier[flag as keyof AskedFor] ?? null) !== JSON.stringify(value ?? null),
    )
    .filter(([flag]) => flag !== 'model' || earlier.annotator === now.annotator)
    .map(
      ([flag, value]) => `--${flag} was ${shown(earlier[flag as keyof AskedFor])} and is now ${shown(value)}`,
    );
  if (changes.length === 0) return;
  throw new UserError(
    `This run was begun with other parameters: ${changes.join('; ')}. Give the earlier values to go on with it, or ` +
      'start anew with --overwrite or another --save_dir and --temp_dir.',
  );
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return 'not given';
  return inert(typeof value === 'string' ? value : JSON.stringify(value), 80);
}
