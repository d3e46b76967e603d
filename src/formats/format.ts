import type { Turns } from './all-turns.js';
import type { Comparison } from './comparisons.js';

export type Row = Readonly<Record<string, unknown>>;

/** The names that `--format` takes. */
export const FORMAT_NAMES = [
  'messages',
  'conversations',
  'chat',
  'alpaca',
  'glaive',
  'columns',
  'preference',
  'reannotated',
] as const;
export type FormatName = (typeof FORMAT_NAMES)[number];

/** Which columns play which part; null, or an empty list, where the dataset has none for it. */
export interface ColumnRoles {
  /** Text, or a chat whose last answer is the original one. */
  prompt: string;
  /** What the prompt is about, in the order in which the dataset has it. */
  inputs: string[];
  /** The answers to choose from. */
  choices: string | null;
  /** Where each of them has a column of its own: these, in their order. */
  spreadChoices: string[];
  system: string | null;
  /** Turns before the prompt. */
  history: string | null;
  response: string | null;
  /** The original answer of a chat that ends with a question. */
  chatAnswer: string | null;
  /** Two answers, of which the preferred one is the original; null where there is one. */
  comparison: Comparison | null;
  /** Definitions of tools. */
  tools: string | null;
  /** Images that go with the prompt. */
  images: string[];
  /** Audio and video, which cannot be sent. */
  media: string[];
  /** Whole requests of several turns, of which `prompt` is the last; only in this program's own results. */
  requests: string[];
  /** The calls of tools in the original answer; only there as well. */
  originalCalls: string | null;
}

/** Names that users gave; null where they gave none, `none` for a column that is not to be used. */
export interface FormatFlags {
  format: string | null;
  promptColumn: string | null;
  /** The flag that names that column, for messages; `prompt_column` where it is left out. */
  promptFlag?: string;
  responseColumn: string | null;
  systemColumn: string | null;
  inputColumn: string | null;
  messagesColumn: string | null;
  toolsColumn: string | null;
  /** Null for the prompt as it was found. */
  promptTemplate: string | null;
  /** Null for the dataset's own. */
  systemPrompt: string | null;
  /** Which answers of a chat are regenerated: its last one, or all. */
  turns: Turns;
  /** Columns of the results' `source`; `all` for those that are not used; null for no such key. */
  keepColumns: readonly string[] | null;
}

/** What a dataset's own columns suggest, with nothing added. */
export const NO_FLAGS: FormatFlags = {
  format: null,
  promptColumn: null,
  responseColumn: null,
  systemColumn: null,
  inputColumn: null,
  messagesColumn: null,
  toolsColumn: null,
  promptTemplate: null,
  systemPrompt: null,
  turns: 'last',
  keepColumns: null,
};
