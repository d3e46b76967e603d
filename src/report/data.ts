/** The data of a report's page: written into it as JSON, and read by `page/`. */

import type { RowState } from '../types.js';
import type { FlagName } from './flags.js';

/** Counts by classes: `counts[i]` of what lies from `edges[i]` to `edges[i + 1]`. */
export interface Distribution {
  edges: number[];
  counts: number[];
}

/** One turn of a request before its last one. */
export interface Turn {
  role: string;
  text: string;
  /** Characters before it was cut. */
  length: number;
}

/** What one answer used. */
export interface RowFigures {
  model: string | null;
  finishReason: string | null;
  promptTokens: number | null;
  completionTokens: number | null;
  reasoningTokens: number;
  /** Milliseconds from the request to the end of its answer; null where they were not recorded, as in batches. */
  latency: number | null;
  /** US dollars; null where it is not known. */
  cost: number | null;
}

/** A row in the reader. */
export interface ShownRow {
  /** Its number in the run, from 0. */
  row: number;
  state: RowState;
  system: string;
  prompt: string;
  /** The turns of a chat before the prompt. */
  turns: Turn[];
  /** Definitions of tools as JSON; null where there are none. */
  tools: string | null;
  /** References to its images. */
  images: string[];
  /** Kept columns of the dataset, those with short values. */
  source: Record<string, string>;
  old: string | null;
  new: string | null;
  /** Calls of tools as JSON. */
  oldCalls: string | null;
  newCalls: string | null;
  /** The other answers of a run with several. */
  others: string[];
  /** What the model thought before its answer; null where it gave none. */
  reasoning: string | null;
  /** Characters before anything was cut. */
  lengths: { prompt: number; old: number; new: number; reasoning: number };
  flags: FlagName[];
  /** 0: the same words; 1: none in common. Null where one of the answers is missing. */
  change: number | null;
  error: string | null;
  /** What the judge preferred and what it said, where the row was judged. */
  verdict: { preferred: string; reason: string } | null;
  /** Null where the run's working files are not there. */
  figures: RowFigures | null;
  /** In a comparison the row of every run; null where a run does not have it, or not yet. */
  runs?: (ShownRow | null)[];
  /** In a comparison what a judge said of two runs' answers. */
  matches?: RowMatch[];
}

export interface BatchFigures {
  id: string;
  status: string;
  requests: number;
  /** Minutes until work began and until it ended; null where it has not. */
  queued: number | null;
  worked: number | null;
}

/** How sending went over time, in steps that are wide enough to be read. */
export interface OverTime {
  /** Milliseconds of one step. */
  step: number;
  steps: TimeStep[];
}

export interface TimeStep {
  /** Milliseconds that the step covers: the last one may be shorter. */
  length: number;
  answers: number;
  throttled: number;
  failures: number;
  /** Milliseconds; null where nothing was answered. */
  median: number | null;
  p95: number | null;
  /** US dollars from the start to the end of the step; null where they are not known. */
  spent: number | null;
}

/** A small table beside the charts. */
export interface ReportTable {
  title: string;
  head: string[];
  rows: string[][];
}

export interface Judged {
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
}

export interface ReportData {
  kind: 'run';
  dataset: string;
  annotator: string;
  /** The run's folder name and id: marks on rows are kept under the latter. */
  run: string;
  id: string;
  version: string;
  /** ISO 8601. */
  made: string;
  /** `running`: a process works on it. `stopped`: none does, and rows are missing or results are not written. */
  status: 'running' | 'stopped' | 'finished';
  rows: number;
  states: Partial<Record<RowState, number>>;
  /** Key figures in their order: title and value. */
  figures: [title: string, value: string][];
  /** US dollars; null where they are not known. */
  cost: number | null;
  parameters: [name: string, value: string][];
  /** Old and new answers, and the reasoning before new ones, by their characters. */
  oldLengths: Distribution;
  newLengths: Distribution;
  reasoningLengths: Distribution | null;
  /** New length by old length. */
  ratios: Distribution;
  /** Characters. */
  lengths: { old: Quantiles | null; new: Quantiles | null; reasoning: Quantiles | null };
  finishReasons: [reason: string, answers: number][];
  /** `of`: the rows that could have the flag. */
  flags: { name: FlagName; rows: number; of: number }[];
  /** Rows that have both answers. */
  compared: number;
  time: OverTime | null;
  batches: BatchFigures[];
  tables: ReportTable[];
  judge: Judged | null;
  shown: ShownRow[];
  /** How the shown rows were chosen; a sentence. */
  choice: string;
  /** The command that makes a page with more rows, up to the numbers of rows. */
  command: string;
  /** Where the dataset's rows are shown on the Hub, up to the row's number; null for a local dataset. */
  hub: { url: string; offset: number } | null;
}

/** Rows that were judged in two runs, each against the old answer, and whose answer fared better. */
export interface HeadToHead {
  /** Places of the runs. */
  one: number;
  other: number;
  wins: number;
  ties: number;
  losses: number;
}

/** A judge's verdict on two runs' answers to one row. */
export interface RowMatch {
  /** Places of the runs. */
  one: number;
  other: number;
  preferred: 'one' | 'other' | 'tie' | 'undecided';
  reason: string;
}

/** Verdicts on the answers of two runs, set against each other by `reannotate compare`. */
export interface DirectMatch extends HeadToHead {
  undecided: number;
  /** Of `one`, a tie as half a win; null where nothing was decided. */
  winRate: number | null;
  /** 95 %. */
  interval: [low: number, high: number] | null;
}

/** A run in the ranking that follows from these verdicts. */
export interface RankedRun {
  /** Its place among the runs. */
  run: number;
  /** On the scale of Elo: the average is 1000. */
  rating: number;
  /** 95 %. */
  interval: [low: number, high: number];
  wins: number;
  ties: number;
  losses: number;
}

/** Several runs of one dataset. */
export interface ComparisonData {
  kind: 'comparison';
  dataset: string;
  version: string;
  made: string;
  /** What each run is called here. */
  labels: string[];
  /** Rows of the run that has most. */
  rows: number;
  /** Titles with a value for each run. */
  figures: [title: string, ...values: string[]][];
  /** Parameters that are not the same everywhere. */
  parameters: [name: string, ...values: string[]][];
  wins: HeadToHead[];
  /** Verdicts on the runs' answers themselves, where `reannotate compare` left some. */
  matches: DirectMatch[];
  /** Best first; empty unless each two runs were judged. */
  ranking: RankedRun[];
  /** Old answers, then those of each run. */
  lengths: { label: string; of: Distribution }[];
  shown: ShownRow[];
  choice: string;
  hub: ReportData['hub'];
}

/** The middle, and what 95 % are below. */
export interface Quantiles {
  median: number;
  p95: number;
}
