/** How sure a win rate is. */

/** Two-sided 95 % of a normal distribution. */
const Z = 1.959963984540054;
/** Halvings of an interval of length 1 at most: more would change nothing in a double. */
const HALVINGS = 60;

/** Pairs by their verdicts. */
export interface Decided {
  wins: number;
  ties: number;
  losses: number;
}

/** The share of wins, with a tie as half of one; null where nothing was decided. */
export function winRate({ wins, ties, losses }: Decided): number | null {
  const pairs = wins + ties + losses;
  return pairs === 0 ? null : (wins + ties / 2) / pairs;
}

/**
 * The 95 % confidence interval of the win rate; null where nothing was decided.
 *
 * Wins and losses are the two discordant cells of paired data, and the win rate is half of one plus their difference, so
 * Tango's score interval for that difference is the one to take: unlike a normal interval it holds for few pairs, and
 * for pairs that all ended the same way; unlike Wilson's it knows that ties vary less than wins and losses.
 * @see T. Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample
 *   design, Statistics in Medicine 17 (1998), 891–908
 */
export function winRateInterval(decided: Decided): [low: number, high: number] | null {
  const rate = winRate(decided);
  if (rate === null) return null;
  const difference = 2 * rate - 1;
  const low = bound(decided, difference, -1, Z);
  const high = bound(decided, difference, 1, -Z);
  return [(1 + low) / 2, (1 + high) / 2];
}

/** True where a win rate is significantly better or worse than even. */
export function isSignificant([low, high]: readonly [low: number, high: number]): boolean {
  return low > 0.5 || high < 0.5;
}

/** The difference between the observed one and an extreme at which the score reaches a quantile. */
function bound(decided: Decided, observed: number, extreme: number, quantile: number): number {
  let inside = observed;
  let outside = extreme;
  for (let step = 0; step < HALVINGS; step++) {
    const middle = (inside + outside) / 2;
    if (Math.abs(score(decided, middle)) < Math.abs(quantile)) inside = middle;
    else outside = middle;
  }
  return (inside + outside) / 2;
}

/** Tango's score for a difference of wins and losses as shares: how many standard errors the data lie above it. */
function score({ wins, ties, losses }: Decided, difference: number): number {
  const pairs = wins + ties + losses;
  // The most likely share of losses where the difference is the given one: the larger root of a quadratic.
  const linear = -wins - losses + (2 * pairs - wins + losses) * difference;
  const constant = -losses * difference * (1 - difference);
  const root = Math.sqrt(Math.max(0, linear * linear - 8 * pairs * constant));
  const lost = (root - linear) / (4 * pairs);
  const variance = pairs * (2 * lost + difference * (1 - difference));
  const excess = wins - losses - pairs * difference;
  if (excess === 0) return 0;
  return variance <= 0 ? Infinity : excess / Math.sqrt(variance);
}
