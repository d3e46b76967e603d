/** The file that a mistyped path was probably meant to be. */

import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { nearest } from '../lib/suggest.js';

/** Entries of a folder that are compared at most. */
const MOST_ENTRIES = 10_000;
/** Folders of a path, from the last one upwards, whose names may be mistyped as well. */
const MOST_FOLDERS = 3;

/**
 * The file or folder with the nearest name, in the same folder or in one with a name like it; null where none is near.
 * @param path as it was given
 */
export function nearestFile(path: string): string | null {
  return nearestPath(path, MOST_FOLDERS);
}

function nearestPath(path: string, folders: number): string | null {
  const [name, parent] = [basename(path), dirname(path)];
  if (parent === path) return null;
  const folder = existsSync(parent) || folders === 0 ? parent : nearestPath(parent, folders - 1);
  const found = folder === null ? null : nearestEntry(folder, name);
  if (found === null || folder === null) return null;
  return path === name ? found : join(folder, found);
}

function nearestEntry(folder: string, name: string): string | null {
  let entries: string[];
  try {
    entries = readdirSync(folder).slice(0, MOST_ENTRIES);
  } catch {
    return null;
  }
  const farthest = Math.max(1, Math.floor(name.length * 0.3));
  const [found] = nearest(name, entries, 1, farthest);
  return found ?? null;
}
