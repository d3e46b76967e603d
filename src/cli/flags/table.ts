/** The flag table: every flag of every command, once. */

import { DATA_FLAGS } from './data-flags.js';
import type { CommandName } from '../commands.js';
import type { Flag, ValueOf } from './flag.js';
import { GENERATION_FLAGS, MODEL_FLAGS } from './model-flags.js';
import { OWN_FLAGS } from './own-flags.js';
import { GENERAL_FLAGS, RESULT_FLAGS } from './result-flags.js';
import { BATCH_FLAGS } from './batch-flags.js';
import { LIMIT_FLAGS, RUN_FLAGS } from './run-flags.js';

/** Flags that mean the same in every command that takes them. */
export const SHARED_FLAGS = {
  ...MODEL_FLAGS,
  ...DATA_FLAGS,
  ...GENERATION_FLAGS,
  ...RUN_FLAGS,
  ...LIMIT_FLAGS,
  ...BATCH_FLAGS,
  ...RESULT_FLAGS,
  ...GENERAL_FLAGS,
};

type Shared = typeof SHARED_FLAGS;
type Own = typeof OWN_FLAGS;
type SharedNames<Command> = {
  [Name in keyof Shared]: Command extends keyof Shared[Name]['commands'] ? Name : never;
}[keyof Shared];
type OwnOf<Command> = Command extends keyof Own ? Own[Command] : unknown;
type SharedOf<Command> = Omit<Pick<Shared, SharedNames<Command>>, keyof OwnOf<Command>>;
type FlagsOf<Command> = SharedOf<Command> & OwnOf<Command>;

/** The values of a command's flags, by their names. */
export type Values<Command extends CommandName> = {
  [Name in keyof FlagsOf<Command>]: ValueOf<FlagsOf<Command>[Name]>;
};

/** A flag as one command takes it. */
export interface CommandFlag extends Flag {
  name: string;
}

/** How a flag is written on the command line: `--limit`, and `-m` where it has a letter. */
export function spellingsOf({ name, short }: CommandFlag): string[] {
  return [`--${name}`, ...(short === undefined ? [] : [`-${short}`])];
}

/** True for a flag that never stands alone: the next word is its value. */
export function takesValue({ kind }: CommandFlag): boolean {
  return kind.argument.startsWith('<');
}

const known = new Map<CommandName, readonly CommandFlag[]>();

/** The flags of a command, in the order of the table. */
export function flagsOf(command: CommandName): readonly CommandFlag[] {
  const flags = known.get(command) ?? collectFlags(command);
  known.set(command, flags);
  return flags;
}

const OF_ONE_PROCESS = 'it applies to one process, but many work on a plan';
const OF_ALL_ROWS = 'it needs all rows of a run, but a worker has only those of its shard';
const AFTER_MERGE = 'nothing is pushed before the shards are merged';

/** Flags of `reannotate` that a plan cannot have, and why. */
const NOT_PLANNED: Readonly<Record<string, string>> = {
  resume: 'workers resume by themselves',
  resume_no_retry: 'workers resume by themselves',
  retry: 'pass it to npx reannotate work',
  dry_run: 'run npx reannotate with it before you plan',
  json: OF_ONE_PROCESS,
  probe: OF_ONE_PROCESS,
  notify: OF_ONE_PROCESS,
  events: OF_ONE_PROCESS,
  batch_file_only: 'workers submit batches themselves; write the files of a whole run with npx reannotate',
  push_to_hub: AFTER_MERGE,
  private: AFTER_MERGE,
  yes: AFTER_MERGE,
  allow_secrets: AFTER_MERGE,
  reuse: OF_ALL_ROWS,
  dedupe: OF_ALL_ROWS,
};

/** Why a command does not take a flag of another one; null if there is nothing to explain. */
export function whyNotTaken(command: CommandName, name: string): string | null {
  return command === 'plan' && Object.hasOwn(NOT_PLANNED, name) ? (NOT_PLANNED[name] ?? null) : null;
}

/** Flags of `reannotate` that a comparison cannot have: it resumes by itself, online, and writes no results of a run. */
const NOT_COMPARED: ReadonlySet<string> = new Set([
  ...Object.keys(NOT_PLANNED),
  ...['annotator', 'overwrite', 'output_format', 'include_metadata', 'keep_columns', 'check', 'check_retry'],
  // A row that another annotator answered says nothing about the one being compared.
  ...['escalate_truncated', 'fallback_annotator', 'fallback_base_url', 'fallback_api_key_env'],
  ...['drop', 'decontaminate', 'decontaminate_column', 'off_peak'],
  // Its judge compares annotators.
  ...['judge', 'select'],
  ...['batch', 'max_batch_size', 'max_batch_bytes'],
]);

function collectFlags(command: CommandName): CommandFlag[] {
  const own = ownFlagsOf(command);
  // A plan is a run that is not sent yet.
  if (command === 'plan')
    return [...flagsOf('reannotate').filter(({ name }) => !Object.hasOwn(NOT_PLANNED, name)), ...named(own)];
  if (command === 'compare')
    return [...flagsOf('reannotate').filter(({ name }) => !NOT_COMPARED.has(name)), ...named(own)];
  const shared: [string, Flag][] = Object.entries(SHARED_FLAGS);
  const all = [...shared.filter(([name]) => !Object.hasOwn(own, name)), ...Object.entries(own)];
  return all.flatMap(([name, entry]) => {
    const variation = entry.commands[command];
    if (variation === undefined) return [];
    return [{ ...varied(entry, variation === true ? {} : variation), name }];
  });
}

/** The flags that a command shares with no other. */
export function ownFlagsOf(command: CommandName): Readonly<Record<string, Flag>> {
  const all: Partial<Record<CommandName, Readonly<Record<string, Flag>>>> = OWN_FLAGS;
  return all[command] ?? {};
}

function named(own: Readonly<Record<string, Flag>>): CommandFlag[] {
  return Object.entries(own).map(([name, entry]) => ({ ...entry, name }));
}

function varied(
  entry: Flag,
  { help, details, usual, short }: Exclude<Flag['commands'][CommandName], true | undefined>,
): Flag {
  const { short: letter, usual: common, details: more, ...others } = entry;
  const text = usual === undefined ? common : (usual ?? '');
  return {
    ...others,
    ...(help === undefined ? {} : { help }),
    ...(text === undefined ? {} : { usual: text }),
    ...(more === undefined || details === null ? {} : { details: more }),
    ...(letter === undefined || short === null ? {} : { short: letter }),
  };
}
