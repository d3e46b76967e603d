/** The result of a dry run. */

import type { Probe } from '../session/probe.js';

/** US dollars. */
export interface PriceRange {
  /** Answers as long as the original ones, or as the probe's. */
  expected: number;
  /** With `--probe`, the ends of the 95 % confidence interval; null without. */
  low: number | null;
  high: number | null;
  /** Every answer as long as `--max_tokens` allows; null with `--max_tokens none`. */
  maximum: number | null;
}

/** What each column of the dataset is used for; names as the dataset spells them. */
export interface UsedColumns {
  format: string;
  prompt: string;
  /** What is sent beside it. */
  inputs: string[];
  choices: string | null;
  system: string | null;
  history: string | null;
  response: string | null;
  unused: string[];
  /** Those of the unused that look like part of the prompt. */
  looks_like_prompt: string[];
}

/** The result of a dry run; `--json` prints it unchanged. */
export interface DryRun {
  rows: number;
  unusable_rows: number;
  /** Why, for the first of them. */
  problems: string[];
  columns: UsedColumns;
  /** Rows whose answers the runs of `--reuse` have. */
  reused_rows: number;
  /** Rows that `--dedupe` need not send. */
  deduped_rows: number;
  /** What is sent: rows that can be used, without these. */
  requests: number;
  /** `margin`: with 95 % confidence, as a share; 0 where every row was counted. */
  prompt_tokens: { expected: number; margin: number; tokenizer: string };
  completion_tokens: { expected: number; low: number | null; high: number | null; maximum: number | null };
  /** Null where no price is known, or where the provider has no such service. */
  price_usd: {
    /** At the dearest hours; with `--off_peak` at the off-peak hours of the price table. */
    online: PriceRange | null;
    /** At off-peak hours; null where the price does not depend on the hour. */
    off_peak: PriceRange | null;
    flex: PriceRange | null;
    batch: PriceRange | null;
  };
  /** The off-peak hours as text, and whether it is one of them now; null if there are none. */
  off_peak: { hours: string; now: boolean; kept: boolean } | null;
  /**
   * With `--fallback_annotator`: what each refused row adds, in US dollars, at the average length. How many rows are
   * refused cannot be known. Null where the price is not known.
   */
  fallback: { annotator: string; usd_per_row: number | null; usd_per_row_maximum: number | null } | null;
  batches: number | null;
  /** Given by flags or stated by the API; null where not known. A day's limit is stated by small accounts. */
  limits: {
    requests_per_minute: number | null;
    tokens_per_minute: number | null;
    requests_per_day: number | null;
  };
  /** At least, at these limits; null where none is known. */
  minutes: { online: number; bound: 'requests' | 'tokens' | 'requests per day' } | null;
  probe: Probe | null;
  examples: { request_idx: number; body: Record<string, unknown> }[];
}
