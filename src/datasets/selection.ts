/** Which rows of which dataset a run uses, and how they become prompts. */

import { NO_FLAGS, type FormatFlags } from '../formats/format.js';
import { DEFAULT_ENCODING } from './encodings.js';

export interface DatasetSelection extends FormatFlags {
  /** A Hub id such as `glaiveai/glaive-code-assistant`, or the path of a local file. */
  dataset: string;
  subset: string | null;
  split: string | null;
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
    ...NO_FLAGS,
    dataset,
    subset: null,
    split: null,
    encoding: DEFAULT_ENCODING,
    limit: null,
    offset: 0,
  };
}
