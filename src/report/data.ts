/** What the page of a report is made of: written into it as JSON, and read by `page/`. */

import type { RecordedTimeline } from '../run/timeline.js';
import type { RowState } from '../types.js';
import type { FlagName } from './flags.js';

/** Counts by classes: `counts[i]` of what lies from `edges[i]` to `edges[i + 1]`. */
export interface Distribution {
  edges: number[];
  counts: number[];
}

/** A row in the reader. */
export interface ShownRow {
  /** Its number in the dataset, from 0. */
  row: number;
  state: RowState;
  system: string;
  prompt: string;
  old: string | null;
  new: string | null;
  /** What the model thought before its answer; null where it gave none. */
  reasoning: string | null;
  /** Characters before anything was cut. */
  lengths: { prompt: number; old: number; new: number; reasoning: number };
  flags: FlagName[];
  /** 0: the same words; 1: none in common. Null where one of the answers is missing. */
  change: number | null;
  error: string | null;
  /** What the judge preferred, where the row was judged. */
  verdict: string | null;
}

export interface BatchFigures {
  id: string;
  status: string;
  requests: number;
  /** Minutes until work began and until it ended; null where it has not. */
  queued: number | null;
  worked: number | null;
}

export interface ReportData {
  dataset: string;
  annotator: string;
  version: string;
  /** ISO 8601. */
  made: string;
  rows: number;
  states: Partial<Record<RowState, number>>;
  /** Key figures in their order: title and value. */
  figures: [title: string, value: string][];
  parameters: [name: string, value: string][];
  models: [model: string, answers: number][];
  /** Old and new answers by their characters. */
  oldLengths: Distribution;
  newLengths: Distribution;
  /** New length by old length. */
  ratios: Distribution;
  /** Median characters. */
  medians: { old: number | null; new: number | null };
  finishReasons: [reason: string, answers: number][];
  flags: { name: FlagName; rows: number }[];
  /** Rows that have both answers, whose flags are known. */
  compared: number;
  timeline: RecordedTimeline | null;
  batches: BatchFigures[];
  judge: {
    annotator: string;
    /** Pairs that were looked at, and what came of them for the new answers. */
    rows: number;
    wins: number;
    ties: number;
    losses: number;
    undecided: number;
    /** Shares from 0 to 1; null where nothing was decided. */
    winRate: number | null;
    interval: [low: number, high: number] | null;
  } | null;
  shown: ShownRow[];
  /** How the shown rows were chosen; a sentence. */
  choice: string;
}
