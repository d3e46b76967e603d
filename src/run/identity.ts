/** What makes two runs the same run: kept in `run.json`, and compared before a run is resumed. */

import { existsSync } from 'node:fs';
import { DEFAULT_ENCODING } from '../datasets/encodings.js';
import { UserError } from '../lib/errors.js';
import { replaceFile, readOwnText } from '../lib/files.js';
import type { FormatName } from '../formats/index.js';
import { asksTheSame, SENT_BY_DEFAULT, type GenerationParameters } from '../models/generation.js';
import type { DatasetSelection } from '../datasets/selection.js';
import type { ModelCall } from '../models/call.js';
import { sanitize, plural } from '../lib/text.js';
import type { FileFingerprint } from './fingerprint.js';

/** The flags that decide which requests are sent; the others may change when a run is resumed. */
export interface IdentityFlags extends GenerationParameters {
  dataset: string;
  subset: string | null;
  split: string | null;
  format: string | null;
  prompt_column: string | null;
  response_column: string | null;
  system_column: string | null;
  input_column: string | null;
  messages_column: string | null;
  tools_column: string | null;
  prompt_template: string | null;
  system_prompt: string | null;
  /** Null where it is `last`. */
  turns: string | null;
  /** Separated by commas. */
  keep_columns: string | null;
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
  asked: IdentityFlags;
  /** What was found; the revision pins a Hub dataset. */
  found: {
    revision: string | null;
    subset: string | null;
    split: string | null;
    format: FormatName;
    columns: string[];
  };
  /** The files of a local dataset; null for one of the Hub, absent in runs of earlier versions. */
  source?: { files: FileFingerprint[] } | null;
  /** Parent of the results, as it was given; absent in runs of earlier versions. */
  save_dir?: string;
  /** True while rows are being added for a larger `--limit`: `rows.jsonl` may still be the shorter one. */
  isGrowing?: boolean;
}

/** The identity that a command line asks for. */
export function identityFlags({
  selection,
  call,
}: {
  selection: DatasetSelection;
  call: Pick<ModelCall, 'annotator' | 'generation'>;
}): IdentityFlags {
  return {
    dataset: selection.dataset,
    subset: selection.subset,
    split: selection.split,
    format: selection.format,
    prompt_column: selection.promptColumn,
    response_column: selection.responseColumn,
    system_column: selection.systemColumn,
    input_column: selection.inputColumn,
    messages_column: selection.messagesColumn,
    tools_column: selection.toolsColumn,
    prompt_template: selection.promptTemplate,
    system_prompt: selection.systemPrompt,
    turns: selection.turns === 'last' ? null : selection.turns,
    keep_columns: selection.keepColumns?.join(',') ?? null,
    encoding: selection.encoding === DEFAULT_ENCODING ? null : selection.encoding,
    limit: selection.limit,
    offset: selection.offset,
    annotator: call.annotator.name,
    model: call.annotator.model,
    ...call.generation,
  };
}

/** Reads `run.json`; null where there is none. */
export function readIdentity(path: string): RunIdentity | null {
  if (!existsSync(path)) return null;
  try {
    const value = JSON.parse(readOwnText(path)) as Partial<RunIdentity>;
    if (value.version === 1 && typeof value.asked === 'object' && typeof value.found === 'object') {
      return value as RunIdentity;
    }
  } catch {
    // Falls through to the message.
  }
  throw new UserError(
    `${path} cannot be read, so this run cannot be resumed. Start over with --overwrite (the old files are kept), and ` +
      'see docs/run-folder.md for how to keep the answers.',
  );
}

export async function writeIdentity(path: string, identity: RunIdentity): Promise<void> {
  await replaceFile(path, (file) => {
    file.write(`${JSON.stringify(identity, null, 2)}\n`);
  });
}

/** Compared on their own: the dataset by its content, and a limit may grow. */
const COMPARED_ELSEWHERE: readonly string[] = ['dataset', 'limit'];

/**
 * Compares a run with what the command line asks for now.
 * @param given generation parameters that the command line names
 * @throws UserError that names each difference and what to do about it
 */
export function refuseChanges(earlier: IdentityFlags, now: IdentityFlags, given: ReadonlySet<string>): void {
  const changes = Object.entries(now)
    .filter(
      ([flag, value]) =>
        !COMPARED_ELSEWHERE.includes(flag) &&
        !asksTheSame(flag, earlier[flag as keyof IdentityFlags] ?? null, value, given.has(flag)),
    )
    .filter(([flag]) => flag !== 'model' || earlier.annotator === now.annotator)
    .map(([flag, value]) => describeChange(flag, earlier[flag as keyof IdentityFlags], value));
  if (changes.length === 0) return;
  throw new UserError(
    `This run was started with other parameters: ${changes.join('; ')}. Use the earlier values to resume it, or start ` +
      'another run: --run_name NAME keeps both, --overwrite starts over (the old files are kept).',
  );
}

function describeChange(flag: string, earlier: unknown, now: unknown): string {
  return `--${flag} was ${shown(flag, earlier)} and is now ${shown(flag, now)}`;
}

/**
 * What a `--limit` means for an existing run: `grow` to add rows.
 * @param earlier the limit that the run has; null for none
 * @param rows that the run has; null where its rows are lost and loaded again
 * @param isGrowing whether an earlier attempt to add rows was interrupted
 * @throws UserError where the limit would leave out rows that the run has
 */
export function compareLimits(
  earlier: number | null,
  now: number | null,
  rows: number | null,
  isGrowing: boolean,
): 'same' | 'grow' {
  const least = rows ?? earlier ?? Infinity;
  if (now !== null && now < least) {
    const has = rows === null ? '' : ` has ${plural(rows, 'row')}, and`;
    const wanted = earlier === null ? 'no --limit' : `--limit ${Math.max(rows ?? 0, earlier)}`;
    throw new UserError(
      `This run${has} was started with ${wanted}; --limit ${now} would leave rows out. Use ${wanted} to resume it, or ` +
        'start a smaller run with --run_name NAME.',
    );
  }
  if (rows === null || now === rows) return 'same';
  if (isGrowing) return 'grow';
  // Fewer rows than the limit: the dataset has no more.
  return earlier !== null && rows >= earlier ? 'grow' : 'same';
}

function shown(flag: string, value: unknown): string {
  if (value === null || value === undefined) return SENT_BY_DEFAULT.has(flag) ? 'none' : 'not given';
  return sanitize(typeof value === 'string' ? value : JSON.stringify(value), 80);
}
