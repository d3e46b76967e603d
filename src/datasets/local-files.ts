/** Which files a local dataset is: one, those of a folder or a glob, or standard input. */

import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join, relative, sep } from 'node:path';
import { systemErrorCode, UserError } from '../lib/errors.js';
import { cooperativePause, fileProblem, kindOfFile } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { count, sanitize, shellWord, withoutTrailing } from '../lib/text.js';
import { familyOf, hasFileEnding, knownEndings, readFileName } from './file-names.js';
import { chooseSplit, splitAmong } from './splits.js';

/** The name of standard input, as other programs have it. */
export const STANDARD_INPUT = '-';

/** Files of one dataset; more are a mistake in the path. */
const MOST_FILES = 100_000;
/** Files that `datasets` writes beside the data. */
const BESIDE_DATA = new Set([
  'dataset_info.json',
  'dataset_infos.json',
  'dataset_dict.json',
  'state.json',
  'croissant.json',
]);
const GLOB = /[*?[\]{}]/;

export interface LocalFile {
  path: string;
  /** As messages call it. */
  shown: string;
}

export interface LocalFiles {
  /** In the order of their names; one at least. */
  files: LocalFile[];
  /** The split that these files are; null where their names say none. */
  split: string | null;
}

/** True where a name means something local: it looks like a path or a file, or a file or folder has it. */
export function isLocalName(name: string): boolean {
  return (
    name === STANDARD_INPUT ||
    hasFileEnding(name) ||
    /^[./~]|^[A-Za-z]:[\\/]/.test(name) ||
    GLOB.test(name) ||
    existsSync(expandHome(name))
  );
}

/**
 * The files of a local dataset other than standard input.
 * @throws UserError where there are none, or where they do not belong together
 */
export async function findLocalFiles(name: string, split: string | null): Promise<LocalFiles> {
  const path = expandHome(name);
  const isFolder = existsSync(path) && statSync(path).isDirectory();
  if (isFolder) return filesOfFolder(path, split);
  if (!existsSync(path) && GLOB.test(name)) return filesOfGlob(path, split);
  return { files: [{ path, shown: path }], split: null };
}

export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
}

interface FoundFile extends LocalFile {
  /** To the folder or the fixed part of the glob. */
  relative: string;
}

async function filesOfFolder(folder: string, split: string | null): Promise<LocalFiles> {
  const shown = sanitize(folder, 200);
  const saved = savedDataset(folder, split);
  if (saved !== null) return saved;
  const paths = await walk(folder);
  const found = paths.map((path) => ({ path, shown: path, relative: relative(folder, path) }));
  const data = found.filter(({ path }) => isData(path));
  // A text file in a folder of other data is a note about it.
  const other = data.filter(({ path }) => readFileName(path).kind !== 'text');
  const files = other.length > 0 ? other : data;
  if (files.length === 0) {
    throw new UserError(
      `${shown} is a folder without data files (${knownEndings()}). If you mean a Hub dataset with ` +
        'this name, run the command in another folder.',
    );
  }
  refuseMixture(files, shown);
  return inOrder(chooseSplit(files, split, shown));
}

async function filesOfGlob(pattern: string, split: string | null): Promise<LocalFiles> {
  const { glob } = await import('tinyglobby');
  const shown = sanitize(pattern, 200);
  let paths: string[];
  try {
    paths = await glob(pattern.split(sep).join('/'), { dot: false, expandDirectories: false });
  } catch (error) {
    throw fileProblem(error, `list ${shown}`);
  }
  if (paths.length === 0) throw new UserError(`No file matches ${shown}; check the pattern in --dataset.`);
  if (paths.length > MOST_FILES) throw tooMany(shown);
  const pause = cooperativePause();
  const files: FoundFile[] = [];
  for (const path of paths) {
    await pause();
    if (lstatSync(path).isFile() || isFileBehind(path, null))
      files.push({ path, shown: path, relative: path });
  }
  refuseMixture(files, shown);
  // A glob names its files itself, so its splits only count where one is wanted.
  return inOrder(
    split === null || split === 'train' ? { split: null, files } : chooseSplit(files, split, shown),
  );
}

function inOrder({ split, files }: { split: string | null; files: readonly FoundFile[] }): LocalFiles {
  const sorted = files.toSorted((a, b) => (a.relative < b.relative ? -1 : a.relative > b.relative ? 1 : 0));
  return { split, files: sorted.map(({ path, shown }) => ({ path, shown })) };
}

function isData(path: string): boolean {
  return readFileName(path).kind !== null && !BESIDE_DATA.has(basename(path));
}

/** All files below a folder, without hidden ones and those that begin with `_`, as Spark's and Hive's own files do. */
async function walk(folder: string): Promise<string[]> {
  const root = realpathSync(folder);
  const pause = cooperativePause();
  const files: string[] = [];
  const folders = [folder];
  for (let at = 0; at < folders.length; at++) {
    const current = folders[at] ?? '';
    let entries;
    try {
      entries = readdirSync(current, { withFileTypes: true });
    } catch (error) {
      throw fileProblem(error, `read the folder ${sanitize(current, 200)}`);
    }
    for (const entry of entries) {
      await pause();
      if (/^[._]/.test(entry.name)) continue;
      const path = join(current, entry.name);
      // A link to a file is followed, one to a folder is not: it may lead back up.
      if (entry.isDirectory()) folders.push(path);
      else if (entry.isFile() || (isData(path) && isFileBehind(path, root))) files.push(path);
    }
    if (files.length > MOST_FILES || folders.length > MOST_FILES) throw tooMany(sanitize(folder, 200));
  }
  return files;
}

/** What stores that keep files by their content call them: the Hub's cache, DVC, git-annex. */
const DIGEST_NAME = /(?:^|--)[0-9a-f]{30,128}$/;

/**
 * Whether what a folder or a pattern has instead of a plain file is a link to a file, rather than to a folder. Datasets
 * come from strangers, and their links may lead anywhere, such as to a private key whose lines would become prompts: one
 * that leads out of the folder must lead to what looks like data.
 * @param root the folder's real path; null for a pattern
 * @throws UserError where it leads nowhere or to something else, so that no part of the data goes missing silently
 */
function isFileBehind(path: string, root: string | null): boolean {
  const shown = sanitize(path, 200);
  let real: string;
  try {
    real = realpathSync(path);
  } catch (error) {
    const how =
      systemErrorCode(error) === 'ELOOP' ? 'is part of a loop' : 'leads to a file that does not exist';
    throw new UserError(
      `${shown} is a symbolic link that ${how}. Restore what it leads to, or remove it.`,
      undefined,
      {
        cause: error,
      },
    );
  }
  const kind = kindOfFile(statSync(real));
  if (kind === 'folder') return false;
  if (kind !== 'file')
    throw new UserError(
      `${shown} is a ${kind}, but a file is needed. Remove it, or name the files of the dataset.`,
    );
  const isInside = root !== null && real.startsWith(withoutTrailing(root, sep) + sep);
  if (isInside || isData(real) || DIGEST_NAME.test(basename(real))) return true;
  throw new UserError(
    `${shown} is a symbolic link to ${sanitize(real, 200)}, which does not look like data, so it is not followed. If ` +
      `you mean that file, name it itself: --dataset ${shellWord(sanitize(path, 200))}`,
  );
}

function tooMany(shown: string): UserError {
  return new UserError(`${shown} has more than ${count(MOST_FILES)} files; select fewer.`);
}

/** @throws UserError where the files are of several families */
function refuseMixture(files: readonly FoundFile[], shown: string): void {
  const examples = new Map<string, string>();
  for (const { path } of files) {
    const { kind } = readFileName(path);
    const family = kind === null ? 'unknown' : familyOf(kind);
    if (!examples.has(family)) examples.set(family, path);
  }
  if (examples.size < 2) return;
  const listed = [...examples].map(([family, path]) => `${family} (${sanitize(path, 120)})`).join(', ');
  throw new UserError(
    `${shown} has files of several kinds: ${listed}. Select those of one kind with a glob.`,
  );
}

/**
 * The files of a folder that `save_to_disk` wrote; null for any other folder. A `DatasetDict` has `dataset_dict.json` and
 * a folder for each split, a `Dataset` has `state.json` that lists its files.
 * @see https://huggingface.co/docs/datasets/process#save
 */
function savedDataset(folder: string, split: string | null): LocalFiles | null {
  const shown = sanitize(folder, 200);
  const dictionary = readSmallJson(join(folder, 'dataset_dict.json'));
  const splits = Array.isArray(dictionary?.['splits'])
    ? dictionary['splits'].filter((one): one is string => typeof one === 'string' && isPlainName(one))
    : [];
  if (splits.length > 0) {
    const wanted = splitAmong(splits, split, shown);
    const files = savedFiles(join(folder, wanted));
    if (files === null)
      throw new UserError(`${shown} is not complete: ${sanitize(wanted, 40)}/state.json is missing.`);
    return { split: wanted, files };
  }
  const files = savedFiles(folder);
  if (files === null) return null;
  if (split !== null && split !== 'train')
    throw new UserError(`${shown} is a dataset without splits; remove --split ${sanitize(split, 40)}.`);
  return { split: null, files };
}

function savedFiles(folder: string): LocalFile[] | null {
  const state = readSmallJson(join(folder, 'state.json'));
  if (!Array.isArray(state?.['_data_files'])) return null;
  if (Array.isArray(state['_indices_data_files']) && state['_indices_data_files'].length > 0) {
    throw new UserError(
      `${sanitize(folder, 200)} contains a selection of rows as indices, which is not supported. Save it again with a current ` +
        'version of datasets, or call flatten_indices() first.',
    );
  }
  const names = state['_data_files'].map((file: unknown) => (isObject(file) ? file['filename'] : null));
  const files = names.filter((name): name is string => typeof name === 'string' && isPlainName(name));
  if (files.length === 0) return null;
  return files.map((name) => ({ path: join(folder, name), shown: join(folder, name) }));
}

/** A file name that leads nowhere else. */
function isPlainName(name: string): boolean {
  return name !== '' && !/[\\/]|^\.\.?$/.test(name);
}

const MOST_STATE_BYTES = 16 << 20;

function readSmallJson(path: string): Record<string, unknown> | null {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() !== true || found.size > MOST_STATE_BYTES) return null;
  try {
    const value = parseJson(readFileSync(path, 'utf8'));
    return isObject(value) ? value : null;
  } catch (error) {
    throw fileProblem(error, `read ${sanitize(path, 200)}`);
  }
}
