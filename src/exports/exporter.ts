/** What every output format has. */

import type { DroppedRows } from './dropped-rows.js';
import type { Review } from './review.js';
import type { ResultRow } from './rows.js';

/** What a run's flags and dataset say about all of its rows. */
export interface ResultShape {
  /** True where rows hold `annotations`, all choices. */
  several: boolean;
  /** True where rows hold `metadata`. */
  metadata: boolean;
  /** True where rows hold `agrees`. */
  compared: boolean;
  /** True where rows hold `reasoning`. */
  reasoning: boolean;
  /** True where rows hold `request_messages`: some request has several turns. */
  chats: boolean;
  /** True where rows hold `tools`, `annotation_original_tool_calls` and `annotation_tool_calls`. */
  tools: boolean;
  /** True where rows hold `images`. */
  images: boolean;
  /** True where rows hold `source`. */
  source: boolean;
}

/** A complete `reannotated.json`. */
export interface Results {
  path: string;
  shape: ResultShape;
  /** What a reader decided; absent where rows are exported as they are. */
  review?: Review | null;
  /** Rows that are left out beside those that the review rejects; absent where there are none. */
  dropped?: DroppedRows | null;
  /** Called now and then with the rows that were read so far. */
  onProgress: (rows: number) => void;
}

/** What a format's file came to. */
export interface Exported {
  /** Rows that the file holds. */
  rows: number;
  /** Rows that have no place in it, by the reason, a phrase such as `without an answer`. */
  leftOut: Map<string, number>;
  /** Rows that come first, out of their order; none where absent. */
  leading?: number;
  /** Columns that are null in every row of a short JSON Lines file, which therefore says nothing of their type. */
  untyped?: readonly (keyof ResultRow)[];
}

/** Writes results in a format of its own; the file appears as a whole or not at all. Memory use is bounded. */
export type Exporter = (results: Results, path: string) => Promise<Exported>;
