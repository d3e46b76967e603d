import { distance } from 'fastest-levenshtein';

/** The known names that are nearest to a mistyped one, nearest first. */
export function nearest(name: string, known: readonly string[], most = 3): string[] {
  const wanted = name.slice(0, 100).toLowerCase();
  return known
    .map((candidate) => ({ candidate, far: distance(wanted, candidate.toLowerCase()) }))
    .sort((a, b) => a.far - b.far)
    .slice(0, most)
    .map(({ candidate }) => candidate);
}
