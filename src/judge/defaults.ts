/** What a judgement is where the user decides nothing. */

export const DEFAULT_JUDGE = 'gpt-4o';
/** Pairs that a judge compares, and what decides which. */
export const DEFAULT_SAMPLE = 100;
export const DEFAULT_SAMPLE_SEED = 0;
/** Tells a win rate to a quarter of a per cent, which no judge's taste is worth; and memory grows with the sample. */
export const LARGEST_SAMPLE = 100_000;
/** Rows on which annotators are compared, and the most of them. */
export const DEFAULT_COMPARISON = 200;
export const LARGEST_COMPARISON = 5000;
