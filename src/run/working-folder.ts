/** Where a run's working files are, as its results record it: these may have been moved, or opened from another folder. */

import { existsSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { readOwnText } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import type { ConfigFile } from './config.js';
import { DEFAULT_OUTPUT } from './settings.js';

const LARGEST_IDENTITY = 16 << 20;

/**
 * The parent of a run's working files.
 * @param save the folder of its results
 * @param config what these record of the run
 * @param given `--temp_dir`, which wins; null where it was not given
 */
export function findTempDir(save: string, config: Partial<ConfigFile>, given: string | null): string {
  if (given !== null) return given;
  const candidates = candidatesFor(resolve(save), config);
  const name = basename(resolve(save));
  const own = candidates.filter((parent) => belongsTo(join(parent, name), config.uuid));
  return own[0] ?? candidates[0] ?? DEFAULT_OUTPUT.tempDir;
}

/**
 * The parent of a run's results, for a run that is named by its working files.
 * @param temp the folder of these
 * @param recorded the parent of the results as the run's own record has it; null where it has none
 */
export function findSaveDir(temp: string, recorded: string | null): string {
  const name = basename(resolve(temp));
  const save = recorded ?? DEFAULT_OUTPUT.saveDir;
  const candidates = placesOf(resolve(temp), DEFAULT_OUTPUT.tempDir, save);
  return candidates.find((parent) => existsSync(join(parent, name))) ?? candidates[0] ?? save;
}

/** The places to look, the likeliest first. */
function candidatesFor(save: string, { params = {} }: Partial<ConfigFile>): string[] {
  const { temp_dir: temp, save_dir: saveDir } = params;
  const recorded = typeof temp === 'string' && temp !== '' ? temp : DEFAULT_OUTPUT.tempDir;
  return placesOf(save, typeof saveDir === 'string' ? saveDir : DEFAULT_OUTPUT.saveDir, recorded);
}

/**
 * Where `other` may be.
 * @param folder a run's folder in `parent`, by its absolute path
 * @param parent as the run's record has it
 * @param other the other parent in that record
 */
function placesOf(folder: string, parent: string, other: string): string[] {
  // Relative paths started from a folder that the recorded parent leads back to.
  const start = startOf(dirname(folder), parent);
  return [
    ...new Set([
      ...(start === null ? [] : [resolve(start, other)]),
      resolve(other),
      // Both folders moved together.
      resolve(dirname(folder), relative(parent, other)),
    ]),
  ];
}

/** The folder from which `path` leads to `place`; null where it can't have been one. */
function startOf(place: string, path: string): string | null {
  const parts = path.split(/[/\\]/).filter((part) => part !== '' && part !== '.');
  if (path.startsWith('/') || parts.includes('..')) return null;
  const ending = parts.join(sep);
  if (ending === '') return place;
  return place.endsWith(`${sep}${ending}`) ? place.slice(0, -ending.length - 1) || sep : null;
}

/** Whether a folder holds the working files of the run with this id; any run's where the id is not known. */
function belongsTo(folder: string, uuid: string | undefined): boolean {
  const path = join(folder, 'run.json');
  if (!existsSync(path)) return existsSync(join(folder, 'plan.json'));
  if (uuid === undefined) return true;
  try {
    const identity = parseJson(readOwnText(path, LARGEST_IDENTITY));
    return isObject(identity) && identity['uuid'] === uuid;
  } catch {
    return false;
  }
}
