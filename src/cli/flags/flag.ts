/** What one flag is. */

import type { Kind } from '../../lib/kinds.js';
import type { CommandName } from '../commands.js';

/** Headings of `--help`, in this order. */
export const GROUPS = {
  data: 'Dataset',
  model: 'Model',
  generation: 'Generation parameters (none: not sent)',
  run: 'Run',
  batches: 'Batches',
  limits: 'Limits and cost',
  results: 'Results',
  hub: 'Hugging Face Hub',
  judge: 'Judgement',
  shards: 'Shards and workers',
  server: 'Server',
  faults: 'Limits and faults',
  general: 'General',
} as const;
export type Group = keyof typeof GROUPS;

/** What is different about a flag in one command. */
export interface Variation {
  help?: string;
  /** Null where nothing of the details holds. */
  details?: null;
  /** Null where help says nothing of the default. */
  usual?: string | null;
  /** Null where the letter means another flag. */
  short?: null;
}

export interface Flag<Value = unknown, Fallback = unknown> {
  kind: Kind<Value>;
  /** The value where nobody gives one. */
  fallback: Fallback;
  /** What the fallback comes to, as help says it; its value where absent. */
  usual?: string;
  /** One line of help, without the default. */
  help: string;
  /** What else the reference says, in Markdown. */
  details?: string;
  group: Group;
  /** The commands that take it; an object says what is different there. */
  commands: Partial<Record<CommandName, true | Variation>>;
  /** One letter. */
  short?: string;
  /** Names by which other tools know it, to be suggested for. */
  aliases?: readonly string[];
  /** Of the flags with the same mark only one can be given; one on the command line replaces one from elsewhere. */
  excludes?: string;
  /** True where it decides which requests a run sends, so that a resumed run must have the same. */
  isIdentity?: boolean;
  /** True for what one invocation does; it is not taken from the `config.yaml` of a run. */
  isAction?: boolean;
}

/** An entry of a table: infers the types of its value and its commands. */
export function flag<Value, const Fallback, const Commands extends Flag['commands']>(
  entry: Omit<Flag<Value, Fallback>, 'commands'> & { commands: Commands },
): Flag<Value, Fallback> & { commands: Commands } {
  return entry;
}

/** What a flag gives: a value of its kind, or the fallback. */
export type ValueOf<F> = F extends Flag<infer Value, infer Fallback> ? Value | Fallback : never;
