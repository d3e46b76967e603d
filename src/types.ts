/** The nouns that cross the seams of the program. */

/** The state of a row of the results. Every row ends in exactly one state, so the counts add up to the rows. */
export const ROW_STATES = ['ok', 'truncated', 'refused', 'filtered', 'failed', 'pending'] as const;
export type RowState = (typeof ROW_STATES)[number];

/** States that `--retry` takes: rows that have no answer, or half of one. */
export const RETRIABLE_STATES = ['failed', 'refused', 'filtered', 'truncated'] as const;
export type RetriableState = (typeof RETRIABLE_STATES)[number];

/** A call of a tool, as the chat completions API has it. */
export interface ToolCall {
  id: string;
  type: 'function';
  /** The arguments are JSON text. */
  function: { name: string; arguments: string };
}

/** One turn of a chat request. */
export interface ChatMessage {
  role: 'system' | 'user' | 'assistant' | 'tool';
  /** Null for an assistant's turn that does nothing but call tools. */
  content: string | null;
  /** Of an assistant's turn. */
  tool_calls?: ToolCall[];
  /** Of what a tool returned: the call that it answers. */
  tool_call_id?: string;
}

/** Where an image is in a text. */
export const IMAGE_MARK = '<image>';

/** An image of a row. */
export interface RowImage {
  /** What results hold: an address, the path that the dataset gives, or a digest. */
  reference: string;
  /** What is sent: an address, or the image itself as a `data:` URL. */
  url: string;
}

/** A row after its format was applied; the field names are those of `reannotated.json`. */
export interface PromptRow {
  /** May be empty: then no system message is sent. */
  system_prompt: string;
  user_prompt: string;
  /** Null where the dataset has no answer for this row. */
  annotation_original: string | null;
  /** The whole request, only where it has more turns than a system and a user prompt. */
  messages?: ChatMessage[];
  /** Definitions of tools, as they are sent. */
  tools?: readonly object[];
  /** The calls of the original answer. */
  annotation_original_tool_calls?: ToolCall[];
  /** The images that stand at the `<image>` marks of its user turns, in their order. */
  images?: RowImage[];
  /** What parts of messages say of images, before these are read; null for an image of a column. */
  found_images?: unknown[];
  /** Other columns of the dataset, as JSON text. */
  source?: string;
}

/** A row as its dataset holds it, before a format is applied. */
export type SourceRow =
  | { index: number; value: Record<string, unknown> }
  /** A row that cannot be used, and why, in a sentence that names it; the run continues without it. */
  | { index: number; problem: string };

/** What part of a dataset is read. */
export interface RowSelection {
  /** The columns to read; nothing else need be fetched or decoded. */
  columns: readonly string[];
  /** Rows to skip, counted from the dataset's first. */
  offset: number;
  /** Rows to read at most; null for all. */
  limit: number | null;
  signal?: AbortSignal;
}

/** A dataset that was found and can be read. */
export interface OpenDataset {
  /** Top-level column names in the dataset's own order. */
  columns: string[];
  /** Rows of the split, or null if only a full read can show it. */
  totalRows: number | null;
  /** The dataset's commit that this run is pinned to; null for local files. */
  revision: string | null;
  subset: string | null;
  split: string | null;
  /** Names that several columns have, so that none of them can be used; none where absent. */
  repeatedColumns?: string[];
  /** The files that a local dataset is read from; absent for one of the Hub. */
  files?: readonly string[];
  /** True where the one file holds what came from standard input. */
  isStandardInput?: boolean;
  /**
   * The rows at which reading can start at once (those of Parquet's row groups). Null, or absent, where a row is found
   * only by reading from the start.
   */
  groupStarts?: () => Promise<readonly number[] | null>;
  /** The UTF-8 file whose lines are the rows, blank ones aside; absent where a row is not a line of one file. */
  lineFile?: string;
  /** What the user should know before rows are used, each a sentence. */
  warnings: string[];
  /** The selected rows in order; `index` counts from the dataset's first row. Memory use is bounded. */
  rows(selection: RowSelection): AsyncIterable<SourceRow>;
}

/** What identifies a dataset on the command line. */
export interface DatasetRequest {
  /** A Hub id such as `glaiveai/glaive-code-assistant`, or the path of a local file. */
  dataset: string;
  subset: string | null;
  split: string | null;
  /** Of a local text file, a canonical name; UTF-8 where absent. */
  encoding?: string;
  /** Where compressed files and standard input are unpacked; the system's folder for temporary files where absent. */
  workFolder?: string;
}

/** Names further hosts of the Hub, for a mirror that keeps its files elsewhere. */
export const HUB_HOSTS_VARIABLE = 'REANNOTATE_HUB_HOSTS';

/** Addresses and credentials of the Hugging Face Hub, taken from the environment once. */
export interface HubEnvironment {
  /** Without a trailing slash, e.g. `https://huggingface.co`. */
  endpoint: string;
  /** Without a trailing slash, e.g. `https://datasets-server.huggingface.co`. */
  datasetsServerUrl: string;
  /** `host` or `host:port`, of servers that may keep the Hub's files, besides the two and those of the real Hub. */
  hosts?: readonly string[];
  token: string | null;
}

/** Where warnings and events go while something is in progress. */
export interface Reporter {
  debug(message: string): void;
  info(message: string): void;
  warning(message: string): void;
  error(message: string): void;
}

/** The dataset of the demo, which its simulator serves and the Hub does not have. */
export const DEMO_DATASET = 'reannotate/examples';
