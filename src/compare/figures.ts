/** What a comparison came to, as `compare.json` holds it. */

import type { Spending } from '../run/summary.js';

/** What one annotator did on the sample. */
export interface ContestantFigures {
  annotator: string;
  model: string;
  /** From 1 on; equal ratings have the order of the command line. */
  rank: number;
  /** On the scale of Elo: the average is 1000, and 400 points are ten times the chance to win. */
  rating: number;
  rating_interval_95: [low: number, high: number];
  /** Over all its pairs. */
  wins: number;
  ties: number;
  losses: number;
  /** Rows of the sample by state. */
  rows: Record<string, number>;
  cost_usd: number | null;
  /** Null where no price is known. */
  cost_per_1000_rows_usd: number | null;
  /** Null as well where the dataset does not say how many rows it has. */
  cost_of_dataset_usd: number | null;
  /** Milliseconds of a request; null where none was timed. */
  latency_ms: { median: number; p90: number } | null;
  tokens_per_row: { prompt: number; completion: number };
}

/** What two annotators came to, from the first one's side. */
export interface PairFigures {
  one: string;
  other: string;
  wins: number;
  ties: number;
  losses: number;
  undecided: number;
  /** A tie is half a win; null where nothing was decided. */
  win_rate: number | null;
  confidence_interval_95: [low: number, high: number] | null;
}

export interface CompareFigures {
  dataset: string;
  /** Rows of the dataset, or of the part of it that was chosen; null where that is not known. */
  dataset_rows: number | null;
  sample: number;
  sample_seed: number;
  judge: { annotator: string; model: string } & Spending;
  /** Best first. */
  annotators: ContestantFigures[];
  pairs: PairFigures[];
  /** Of the answers and the judge; null where a part of it is not known. */
  cost_usd: number | null;
  method: string;
  compared_at: string;
}

export const METHOD =
  'Bradley–Terry strengths by the MM algorithm (Hunter 2004), a tie as half a win, one tie added to each pair; 95 % ' +
  'intervals by resampling rows 1,000 times; win rates with Tango’s score interval.';
