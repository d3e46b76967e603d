/** Which rows of which dataset a run uses, and how they become prompts. */

import { DEFAULT_ENCODING } from './encodings.js';

export interface DatasetSelection {
  /** A Hub id such as `glaiveai/glaive-code-assistant`, or the path of a local file. */
  dataset: string;
  subset: string | null;
  split: string | null;
  format: string | null;
  promptColumn: string | null;
  responseColumn: string | null;
  systemColumn: string | null;
  inputColumn: string | null;
  messagesColumn: string | null;
  toolsColumn: string | null;
  /** Around every prompt; null for the prompt as it was found. */
  promptTemplate: string | null;
  /** Of every request; null for the dataset's own. */
  systemPrompt: string | null;
  /** Columns that the results keep; null for none. */
  keepColumns: readonly string[] | null;
  /** Of a local text file, a canonical name such as `windows-1252`. */
  encoding: string;
  /** Rows at most; null for all. */
  limit: number | null;
  /** Rows to skip. */
  offset: number;
}

/** All rows of a dataset, by the format that its columns suggest. */
export function wholeDataset(dataset: string): DatasetSelection {
  return {
    dataset,
    subset: null,
    split: null,
    format: null,
    promptColumn: null,
    responseColumn: null,
    systemColumn: null,
    inputColumn: null,
    messagesColumn: null,
    toolsColumn: null,
    promptTemplate: null,
    systemPrompt: null,
    keepColumns: null,
    encoding: DEFAULT_ENCODING,
    limit: null,
    offset: 0,
  };
}
