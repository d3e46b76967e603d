import { distance } from 'fastest-levenshtein';
import { sanitize } from './text.js';

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
    .map((candidate) => ({ candidate, far: changes(wanted, candidate.slice(0, COMPARED).toLowerCase()) }))
    .filter(({ far }) => far <= farthest)
    .sort((a, b) => a.far - b.far)
    .slice(0, most)
    .map(({ candidate }) => candidate);
}

/** Letters in the wrong order are one change. */
function changes(given: string, known: string): number {
  const sorted = (word: string): string => Array.from(word).sort().join('');
  return given !== known && sorted(given) === sorted(known) ? 1 : distance(given, known);
}

/** The known word that a mistyped one is near to; null where it has little in common with all of them. */
export function nearWord(given: string, known: readonly string[]): string | null {
  const farthest = given.length < 3 ? 0 : Math.max(1, Math.floor(given.length * 0.4));
  const [found] = nearest(given, known, 1, farthest);
  return found ?? null;
}

/** ` Did you mean high?`, to follow a message; empty where no known word is near. */
export function didYouMean(given: string, known: readonly string[]): string {
  const near = nearWord(given, known);
  return near === null ? '' : ` Did you mean ${sanitize(near, 80)}?`;
}

/** `json`, `json or parquet`, `json, parquet or sft`. */
export function alternatives(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1) ?? ''}`;
}
