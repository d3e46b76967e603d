/** The runs that exist near by, so that a mistyped command can be answered with the right one. */

import { readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { distance } from 'fastest-levenshtein';
import { readOwnText } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { isGivenName } from './folder.js';

/** A run, as its `run.json` describes it. */
export interface KnownRun {
  /** Parent of its working files. */
  tempDir: string;
  /** Parent of its results; null where the run is of an earlier version. */
  saveDir: string | null;
  /** The folder's name. */
  name: string;
  /** True where the name is not the one built from dataset and annotator. */
  isNamed: boolean;
  dataset: string;
  annotator: string;
}

/** Folders that are looked into at most: a home directory may hold any number. */
const FOLDERS_AT_MOST = 2000;
const LARGEST_FILE = 16 << 20;
/** Names that hold no runs, and a great many folders. */
const SKIPPED = /^(?:\.|node_modules$|proc$|sys$|dev$)/;

/** The runs below some parents of working files, and below the current folder to a depth of two folders. */
export function findRuns(tempDirs: readonly string[]): KnownRun[] {
  const found = new Map<string, KnownRun>();
  let left = FOLDERS_AT_MOST;
  const visit = (parent: string, depth: number): void => {
    for (const name of foldersIn(parent)) {
      if (--left < 0) return;
      const run = readRun(parent, name);
      const path = resolve(parent, name);
      if (run !== null && !found.has(path)) found.set(path, run);
      else if (run === null && depth > 0) visit(join(parent, name), depth - 1);
    }
  };
  for (const parent of tempDirs) visit(parent, 0);
  visit('.', 2);
  return [...found.values()];
}

function foldersIn(parent: string): string[] {
  try {
    return readdirSync(parent, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !SKIPPED.test(entry.name))
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

function readRun(parent: string, name: string): KnownRun | null {
  const path = join(parent, name, 'run.json');
  try {
    const value = parseJson(readOwnText(path, LARGEST_FILE));
    const asked = isObject(value) && isObject(value['asked']) ? value['asked'] : {};
    const { dataset, annotator } = asked;
    if (typeof dataset !== 'string' || typeof annotator !== 'string') return null;
    const saveDir = isObject(value) && typeof value['save_dir'] === 'string' ? value['save_dir'] : null;
    return {
      tempDir: parent,
      saveDir,
      name,
      isNamed: isGivenName(name, dataset, annotator),
      dataset,
      annotator,
    };
  } catch {
    return null;
  }
}

/** The runs that come closest to a dataset and an annotator, closest first; none that has little in common with it. */
export function nearestRuns(
  runs: readonly KnownRun[],
  wanted: { dataset: string; annotator: string },
  most = 3,
): KnownRun[] {
  return runs
    .map((run) => ({ run, far: farness(run, wanted) }))
    .filter(({ far }) => far < 1)
    .sort((a, b) => a.far - b.far || (a.run.name < b.run.name ? -1 : 1))
    .slice(0, most)
    .map(({ run }) => run);
}

/** 0 for the same; from 1 on they have too little in common. */
function farness(run: KnownRun, wanted: { dataset: string; annotator: string }): number {
  const isSameFile = basename(run.dataset) === basename(wanted.dataset);
  const dataset =
    isSameFile && run.dataset !== wanted.dataset ? 0.1 : difference(run.dataset, wanted.dataset);
  // A dated name and its plain one are the same model.
  const annotator =
    run.annotator === wanted.annotator
      ? 0
      : undated(run.annotator) === undated(wanted.annotator)
        ? 0.02
        : 0.05 + difference(run.annotator, wanted.annotator) * 0.5;
  return dataset * 1.5 + annotator;
}

function undated(annotator: string): string {
  return annotator.replace(/-\d{4}(?:-?\d\d-?\d\d)?$/, '');
}

function difference(a: string, b: string): number {
  const [one, other] = [a.slice(-200).toLowerCase(), b.slice(-200).toLowerCase()];
  return distance(one, other) / Math.max(one.length, other.length, 1);
}
