import { distance } from 'fastest-levenshtein';

/** Longer names are compared by their first characters. */
const COMPARED = 100;

/**
 * The known names that are nearest to a mistyped one, nearest first.
 * @param most how many
 * @param farthest single changes (letters inserted, left out, replaced) that lead to a name at most
 */
export function nearest(name: string, known: readonly string[], most = 3, farthest = Infinity): string[] {
  const wanted = name.slice(0, COMPARED).toLowerCase();
  return known
    .map((candidate) => ({ candidate, far: distance(wanted, candidate.slice(0, COMPARED).toLowerCase()) }))
    .filter(({ far }) => far <= farthest)
    .sort((a, b) => a.far - b.far)
    .slice(0, most)
    .map(({ candidate }) => candidate);
}
