/** The file that a mistyped path was probably meant to be. */

import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { nearest } from '../lib/suggest.js';

/** Entries of a folder that are compared at most. */
const MOST_ENTRIES = 10_000;

/**
 * The entry of the same folder with the nearest name; null where none is near, or the folder does not exist.
 * @param path as it was given
 */
export function nearestFile(path: string): string | null {
  const name = basename(path);
  let entries: string[];
  try {
    entries = readdirSync(dirname(path)).slice(0, MOST_ENTRIES);
  } catch {
    return null;
  }
  const farthest = Math.max(1, Math.floor(name.length * 0.3));
  const [found] = nearest(name, entries, 1, farthest);
  if (found === undefined) return null;
  return path === name ? found : join(dirname(path), found);
}
