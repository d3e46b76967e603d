/** What is known of each run below a folder, from the small files of each: whatever is damaged is said, and stops nothing. */

import { existsSync, readdirSync, statSync, type Dirent } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { hasEnded, readBatch } from '../batches/batch.js';
import { messageOf } from '../lib/errors.js';
import { readOwnText } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { lockHolder } from '../lib/lock.js';
import { sanitize } from '../lib/text.js';
import { readConfig, type ConfigFile } from '../run/config.js';
import { runFolder, type RunFolder } from '../run/folder.js';
import { JournalIndex, scanJournal } from '../run/journal.js';
import { countRows } from '../run/rows.js';
import { findTempDir } from '../run/working-folder.js';
import { shardFolder } from '../shards/folders.js';
import { overview } from '../shards/overview.js';
import { readPlan } from '../shards/plan.js';
import { signOf } from '../shards/signs.js';
import { readState } from '../shards/state.js';
import { stoppedError } from '../shards/stopped.js';
import { ROW_STATES, type RowState } from '../types.js';

/** Larger files than these are none that a run writes. */
const LARGEST_FILE = 64 << 20;
/** The most bytes that are read of the journals of unfinished runs: the user is waiting for the list. */
const JOURNAL_BYTES = 256 << 20;
/** Files that are counted in one run's folders. */
const MOST_FILES = 100_000;

/**
 * `finished`: every row has an answer or ended without one. `incomplete`: results were written while rows were missing.
 * `stopped`: no results yet, and no process works on it. `batches`: the provider still works on its batches.
 */
export type ListedState =
  'working' | 'batches' | 'planned' | 'stopped' | 'incomplete' | 'finished' | 'damaged';

export interface ListedRun {
  name: string;
  state: ListedState;
  /** What to know beside the state; empty where there is nothing. */
  note: string;
  dataset: string | null;
  annotator: string | null;
  mode: 'online' | 'batch' | 'shards' | null;
  /** Rows by state; null where that is not known. */
  rows: ({ total: number } & Record<RowState, number>) | null;
  /** US dollars; null where it is not known. */
  cost_usd: number | null;
  cost_estimated: boolean;
  /** Bytes of both folders. */
  bytes: number;
  /** ISO 8601: the newest file. */
  updated_at: string | null;
  /** The folder of the results, and that of the working files. */
  results: string;
  working_files: string;
}

/** Where to look for runs. */
export interface ListPlace {
  saveDir: string;
  /** Null where each run's own record says. */
  tempDir: string | null;
}

/** The runs below `saveDir`, those that changed last first. */
export async function listRuns({ saveDir, tempDir }: ListPlace): Promise<ListedRun[]> {
  const budget = { bytes: JOURNAL_BYTES };
  const runs: ListedRun[] = [];
  for (const name of namesIn(saveDir, tempDir)) {
    const run = await lookAt(join(saveDir, name), name, tempDir, budget);
    if (run !== null) runs.push(run);
  }
  return runs.sort((a, b) => (b.updated_at ?? '').localeCompare(a.updated_at ?? ''));
}

/** The names of all runs: a plan has no folder of results until it is merged. */
function namesIn(saveDir: string, tempDir: string | null): string[] {
  const names = foldersIn(saveDir);
  const parent = findTempDir(join(saveDir, 'any'), {}, tempDir);
  const planned = existsSync(parent) ? foldersIn(parent) : [];
  return [...new Set([...names, ...planned.filter((name) => existsSync(join(parent, name, 'plan.json')))])];
}

/** @throws a system error where the folder can't be read */
function foldersIn(parent: string): string[] {
  return readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name);
}

/** Null where the folder is none of a run. */
async function lookAt(
  save: string,
  name: string,
  tempDir: string | null,
  budget: { bytes: number },
): Promise<ListedRun | null> {
  const problems: string[] = [];
  const noteProblem = (path: string, error: unknown): void => {
    problems.push(`${sanitize(basename(path), 60)}: ${sanitize(messageOf(error), 120)}`);
  };
  const config = await configIn(save, noteProblem);
  const folder = runFolder(dirname(resolve(save)), findTempDir(save, config, tempDir), name);
  if (!isRun(folder)) return null;
  const summary = objectIn(folder.summary, noteProblem);
  const { bytes, newest } = measure([folder.save, folder.temp]);
  const { dataset, annotator } = config.params ?? {};
  const run: ListedRun = {
    name,
    state: 'stopped',
    note: '',
    dataset: typeof dataset === 'string' ? dataset : null,
    annotator: typeof annotator === 'string' ? annotator : null,
    mode: summary?.['mode'] === 'batch' || existsSync(folder.batches) ? 'batch' : 'online',
    rows: rowsOf(summary),
    cost_usd: typeof summary?.['cost_usd'] === 'number' ? summary['cost_usd'] : null,
    cost_estimated: summary?.['cost_estimated'] === true,
    bytes,
    updated_at: newest === 0 ? null : new Date(newest).toISOString(),
    results: resolve(folder.save),
    working_files: resolve(folder.temp),
  };
  try {
    Object.assign(run, await progressOf(folder, run.rows, config, budget));
  } catch (error) {
    noteProblem(folder.temp, error);
  }
  return problems.length === 0 ? run : { ...run, state: 'damaged', note: problems[0] ?? '' };
}

/** True for a folder that a run wrote into, or whose working files exist. */
function isRun({ config, summary, reannotated, batchObjects, run, plan, journal }: RunFolder): boolean {
  return [config, summary, reannotated, batchObjects, run, plan, journal].some((path) => existsSync(path));
}

async function configIn(
  save: string,
  noteProblem: (path: string, error: unknown) => void,
): Promise<Partial<ConfigFile>> {
  const path = join(save, 'config.yaml');
  if (!existsSync(path)) return {};
  const config = await readConfig(path, new Date());
  if (isObject(config.params)) return config;
  noteProblem(path, new Error('cannot be read as YAML'));
  return {};
}

function objectIn(
  path: string,
  noteProblem: (path: string, error: unknown) => void,
): Record<string, unknown> | null {
  if (!existsSync(path)) return null;
  try {
    if (statSync(path).size > LARGEST_FILE) throw new Error('too large');
    const value = parseJson(readOwnText(path));
    if (isObject(value)) return value;
    throw new Error('cannot be read as JSON');
  } catch (error) {
    noteProblem(path, error);
    return null;
  }
}

function rowsOf(summary: Record<string, unknown> | null): ListedRun['rows'] {
  const rows = summary?.['rows'];
  if (!isObject(rows)) return null;
  const counts = (['total', ...ROW_STATES] as const).map((name) => [name, rows[name]] as const);
  return counts.every(([, value]) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0)
    ? (Object.fromEntries(counts) as NonNullable<ListedRun['rows']>)
    : null;
}

type Progress = Partial<Pick<ListedRun, 'state' | 'note' | 'rows' | 'mode' | 'cost_usd'>>;

async function progressOf(
  folder: RunFolder,
  summarised: ListedRun['rows'],
  config: Partial<ConfigFile>,
  budget: { bytes: number },
): Promise<Progress> {
  if (!existsSync(folder.temp))
    return { ...resultState(summarised), note: 'its working files are missing, so it cannot be resumed' };
  const holder = lockHolder(folder.temp);
  if (existsSync(folder.plan) && summarised === null) return shardProgress(folder);
  const batches = openBatches(folder);
  if (holder === null && batches === '' && summarised !== null) return resultState(summarised);
  const rows = summarised?.pending === 0 ? summarised : await answered(folder, config, budget);
  return {
    state: holder !== null ? 'working' : batches !== '' ? 'batches' : 'stopped',
    note: batches,
    ...(rows === null ? {} : { rows }),
  };
}

function resultState(rows: ListedRun['rows']): Pick<ListedRun, 'state' | 'note'> {
  if (rows === null) return { state: 'stopped', note: '' };
  return { state: rows.pending > 0 ? 'incomplete' : 'finished', note: '' };
}

function shardProgress({ temp }: RunFolder): Progress {
  const seen = overview(
    readPlan(temp),
    stoppedError(temp)?.message ?? null,
    (shard) => readState(shardFolder(temp, shard).temp),
    // As for other runs, the process that holds the lock counts as alive.
    (shard, state) =>
      signOf(shardFolder(temp, shard).temp, state, Date.now()).kind === 'gone' ? Infinity : 0,
  );
  const { done, working, total } = seen.shards;
  return {
    state:
      working > 0 ? 'working' : done === 0 && seen.rows.pending === seen.rows.total ? 'planned' : 'stopped',
    note: `${done} of ${total} shards done`,
    rows: seen.rows,
    mode: 'shards',
    cost_usd: seen.cost_usd,
  };
}

/** How many batches are still open, in words; empty for none. */
export function openBatches({ batchObjects }: Pick<RunFolder, 'batchObjects'>): string {
  if (!existsSync(batchObjects) || statSync(batchObjects).size > LARGEST_FILE) return '';
  const value = parseJson(readOwnText(batchObjects));
  const batches = Array.isArray(value) ? value.map(readBatch).filter((batch) => batch !== null) : [];
  const open = batches.filter((batch) => !hasEnded(batch)).length;
  return open === 0 ? '' : `${batches.length - open} of ${batches.length} batches ended`;
}

/** Rows by state of a run without results, from its journal; null where that would take too long. */
async function answered(
  { rows: path, journal }: RunFolder,
  { dataset }: Partial<ConfigFile>,
  budget: { bytes: number },
): Promise<ListedRun['rows']> {
  const bytes = sizeOf(journal);
  budget.bytes -= bytes;
  const known = dataset?.rows;
  if (budget.bytes < 0 || (typeof known !== 'number' && sizeOf(path) > LARGEST_FILE)) return null;
  const total = typeof known === 'number' && known > 0 ? known : (await countedRows(path)).total;
  if (total === 0) return null;
  const index = new JournalIndex(total);
  // Read as a segment, so that nothing is repaired: the run may be another process's.
  if (bytes > 0) await scanJournal([{ number: 0, path: journal }], index);
  return { total, ...index.counts };
}

async function countedRows(path: string): Promise<{ total: number }> {
  return existsSync(path) ? countRows(path) : { total: 0 };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** The bytes below some folders, and when the newest of their files changed; what can't be read counts as nothing. */
function measure(folders: readonly string[]): { bytes: number; newest: number } {
  const sums = { bytes: 0, newest: 0 };
  const left = [...folders];
  let files = MOST_FILES;
  for (let folder = left.pop(); folder !== undefined && files > 0; folder = left.pop()) {
    for (const entry of entriesIn(folder)) {
      if (--files < 0) break;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) left.push(path);
      else if (entry.isFile()) {
        const found = statSync(path, { throwIfNoEntry: false });
        sums.bytes += found?.size ?? 0;
        sums.newest = Math.max(sums.newest, found?.mtimeMs ?? 0);
      }
    }
  }
  return sums;
}

function entriesIn(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}
