/**
 * A ranking out of pairwise verdicts: the model of Bradley and Terry, in which an annotator of strength p wins against one
 * of strength q with probability p / (p + q).
 * @see R. A. Bradley, M. E. Terry, Rank analysis of incomplete block designs, Biometrika 39 (1952), 324–345
 */

/** What two annotators, by their numbers, came to. */
export interface Match {
  one: number;
  other: number;
  /** Of `one`. */
  wins: number;
  ties: number;
  losses: number;
}

/** Verdicts on one row, by the number of the pair; null where the pair is undecided. */
export type RowVerdicts = readonly ('one' | 'other' | 'tie' | null)[];

export interface Rating {
  rating: number;
  /** 95 %, by resampling rows. */
  interval: [low: number, high: number];
}

/** A tie counts as half a win for each. One is added to every pair, so that an annotator that only wins has a strength. */
const TIE = 0.5;
const MOST_STEPS = 10_000;
const PRECISION = 1e-10;
/** The scale of Elo: 400 points more are ten times the strength; the average is 1000. */
const POINTS = 400;
const AVERAGE = 1000;
const RESAMPLES = 1000;

/**
 * The most likely strengths, with a geometric mean of 1. Hunter's MM algorithm: every step makes the verdicts more likely.
 * @see D. R. Hunter, MM algorithms for generalized Bradley–Terry models, Annals of Statistics 32 (2004), 384–406
 */
export function strengths(annotators: number, matches: readonly Match[]): number[] {
  const won = new Array<number>(annotators).fill(0);
  const met = matches.map(({ one, other, wins, ties, losses }) => {
    won[one] = (won[one] ?? 0) + wins + TIE * (ties + 1);
    won[other] = (won[other] ?? 0) + losses + TIE * (ties + 1);
    return wins + ties + losses + 1;
  });
  let now = new Array<number>(annotators).fill(1);
  for (let step = 0; step < MOST_STEPS; step++) {
    const expected = new Array<number>(annotators).fill(0);
    matches.forEach(({ one, other }, place) => {
      const share = (met[place] ?? 0) / ((now[one] ?? 1) + (now[other] ?? 1));
      expected[one] = (expected[one] ?? 0) + share;
      expected[other] = (expected[other] ?? 0) + share;
    });
    const next = normalised(won.map((wins, place) => wins / (expected[place] ?? 1)));
    const change = Math.max(...next.map((one, place) => Math.abs(Math.log(one / (now[place] ?? 1)))));
    now = next;
    if (change < PRECISION) break;
  }
  return now;
}

function normalised(values: readonly number[]): number[] {
  const mean = values.reduce((sum, one) => sum + Math.log(one), 0) / values.length;
  return values.map((one) => one / Math.exp(mean));
}

/** Counts verdicts, pair by pair. */
export function matchesOf(
  pairs: readonly { one: number; other: number }[],
  rows: readonly RowVerdicts[],
): Match[] {
  const matches = pairs.map(({ one, other }) => ({ one, other, wins: 0, ties: 0, losses: 0 }));
  for (const row of rows)
    matches.forEach((match, pair) => {
      if (row[pair] === 'one') match.wins += 1;
      else if (row[pair] === 'other') match.losses += 1;
      else if (row[pair] === 'tie') match.ties += 1;
    });
  return matches;
}

/** What one annotator came to in all of its matches. */
export function totalsOf(annotator: number, matches: readonly Match[]): Omit<Match, 'one' | 'other'> {
  const own = { wins: 0, ties: 0, losses: 0 };
  for (const { one, other, wins, ties, losses } of matches) {
    if (one !== annotator && other !== annotator) continue;
    own.wins += one === annotator ? wins : losses;
    own.losses += one === annotator ? losses : wins;
    own.ties += ties;
  }
  return own;
}

/**
 * Ratings with intervals. Rows are what was drawn at random, so they are drawn again, with all their verdicts (Efron's
 * bootstrap): verdicts on one row depend on each other.
 * @param seed the same one gives the same intervals
 */
export function ratings(
  annotators: number,
  pairs: readonly { one: number; other: number }[],
  rows: readonly RowVerdicts[],
  seed = 0,
): Rating[] {
  const points = (drawn: readonly RowVerdicts[]): number[] =>
    strengths(annotators, matchesOf(pairs, drawn)).map((one) => AVERAGE + POINTS * Math.log10(one));
  const random = mulberry32(seed);
  const resampled = Array.from({ length: RESAMPLES }, () =>
    points(rows.map(() => rows[Math.floor(random() * rows.length)] ?? [])),
  );
  return points(rows).map((rating, annotator) => {
    const sorted = resampled.map((one) => one[annotator] ?? rating).sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? rating;
    return { rating, interval: [at(0.025), at(0.975)] };
  });
}

/** Tommy Ettinger's generator, which is in the public domain: good enough to draw rows, and the same on every machine. */
function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
