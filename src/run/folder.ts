/** The two folders of a run and the files in them: where everything is, and nothing else. */

import { existsSync, renameSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { UsageError } from '../lib/errors.js';
import { lateCrypto } from '../lib/late-crypto.js';
import { exportFiles } from '../exports/index.js';
import { fileProblem, makeFolder } from '../lib/files.js';
import { replaceHiddenInName } from '../lib/hidden-characters.js';
import { sanitize, withoutTrailing } from '../lib/text.js';
import { latenciesIn } from './latencies.js';
import type { JournalSegment, JournalSource } from './journal.js';

/** File systems take names of 255 bytes; something is left for suffixes. */
const LONGEST_NAME_BYTES = 220;

/**
 * The name of both folders of a run: `<dataset>_<annotator>` with every `/` as `_`. Anything that could point outside
 * the parent folder, hide the folder, confuse a shell or a terminal, or that a file system refuses becomes `_` too.
 * A relative path is named after what it leads to: `../x.jsonl` gives `x.jsonl_…`.
 */
export function runName(dataset: string, annotator: string): string {
  return safeName(`${datasetLabel(dataset)}_${annotator}`);
}

/** What earlier versions called the folder; it differs where a name began with a dot, such as `../x.jsonl`. */
function formerRunName(dataset: string, annotator: string): string {
  return safeName(`${dataset}_${annotator}`);
}

/** Whether a folder's name was given by `--run_name`, and is not built from dataset and annotator. */
export function isGivenName(name: string, dataset: string, annotator: string): boolean {
  return name !== runName(dataset, annotator) && name !== formerRunName(dataset, annotator);
}

function datasetLabel(dataset: string): string {
  if (dataset === '-') return 'stdin';
  const trimmed = withoutTrailing(dataset.replace(/^(?:\.{1,2}[/\\])+/, ''), '/\\');
  // `.` and `..` have no name of their own, so the folder that they lead to gives it.
  const label = /^\.{0,2}$/.test(trimmed) ? basename(resolve(dataset)) : trimmed;
  return label.replace(/^\.+/, '').replace(/[*?]/g, '_') || 'dataset';
}

function safeName(text: string): string {
  const forbidden = process.platform === 'win32' ? /[/\\:*?"<>|]/g : /\//g;
  const name = replaceHiddenInName(text.replace(forbidden, '_'), '_').toWellFormed();
  if (Buffer.byteLength(name) <= LONGEST_NAME_BYTES) return name;
  const digest = lateCrypto().createHash('sha256').update(name).digest('hex').slice(0, 12);
  let start = name.slice(0, LONGEST_NAME_BYTES - digest.length - 1);
  while (Buffer.byteLength(start) > LONGEST_NAME_BYTES - digest.length - 1) start = start.slice(0, -1);
  return `${start.toWellFormed()}_${digest}`;
}

/**
 * Checks `--run_name`: it names two folders, so it must be one plain file name.
 * @throws UsageError that says what is wrong
 */
export function checkRunName(name: string): string {
  const problem = /[/\\]/.test(name)
    ? 'it contains a slash, but must be a plain folder name'
    : /^[.-]/.test(name)
      ? `it begins with ${JSON.stringify(name[0])}`
      : name.trim() !== name
        ? 'it begins or ends with a space'
        : replaceHiddenInName(name, '') !== name || !name.isWellFormed()
          ? 'it contains invisible characters'
          : /[:*?"<>|]/.test(name)
            ? 'it contains one of : * ? " < > |'
            : Buffer.byteLength(name) > LONGEST_NAME_BYTES
              ? `it is longer than ${LONGEST_NAME_BYTES} bytes`
              : null;
  if (problem === null) return name;
  throw new UsageError(`--run_name ${sanitize(name, 60)}: ${problem}. Give a plain name such as trial-2.`);
}

/** What decides where a run's folders are. */
export interface RunPlace {
  saveDir: string;
  tempDir: string;
  dataset: string;
  /** The annotator's name. */
  annotator: string;
  /** `--run_name`; null for the name built from dataset and annotator. */
  runName: string | null;
}

/**
 * The folders of a run. Where only folders under a name of earlier versions exist, these are the run's.
 * Nothing is created.
 */
export function findRunFolder({ saveDir, tempDir, dataset, annotator, runName: given }: RunPlace): RunFolder {
  if (given !== null) return runFolder(saveDir, tempDir, given);
  const current = runFolder(saveDir, tempDir, runName(dataset, annotator));
  const former = runFolder(saveDir, tempDir, formerRunName(dataset, annotator));
  return former.name !== current.name && !hasBegun(current) && hasBegun(former) ? former : current;
}

/** Whether anything of a run exists, even if it was killed before it had loaded a row. */
export function hasBegun(folder: RunFolder): boolean {
  return existsSync(folder.temp) || existsSync(folder.save);
}

/** Where the answers of a run are read from. */
export function journalSource({ journal, segments }: Pick<RunFolder, 'journal' | 'segments'>): JournalSource {
  return segments ?? journal;
}

export interface RunFolder extends RequestFiles {
  name: string;
  save: string;
  temp: string;
  reannotated: string;
  failedRows: string;
  summary: string;
  config: string;
  batchObjects: string;
  judgements: string;
  run: string;
  /** There where the run was cut into shards. */
  plan: string;
  rows: string;
  /** What this process appends to. */
  journal: string;
  /** Of a shard: all files of its journal, the earlier attempts' included. */
  segments?: readonly JournalSegment[];
  batches: string;
  onlineMarker: string;
  downloads: string;
  /** How long each answer took. */
  latencies: string;
  judge: string;
  log: string;
}

/** The files of whatever sends requests: a run, a judgement, the choice among answers. */
export interface RequestFiles {
  jobs: string;
  journal: string;
  counters: string;
}

/** The paths of these files in a folder. */
export function requestFiles(folder: string): RequestFiles {
  return {
    jobs: join(folder, 'jobs.json'),
    journal: join(folder, 'output.jsonl'),
    counters: join(folder, 'counters.json'),
  };
}

/** The paths of a run's files; nothing is made yet. */
export function runFolder(saveDir: string, tempDir: string, name: string): RunFolder {
  const save = join(saveDir, name);
  const temp = join(tempDir, name);
  return {
    name,
    save,
    temp,
    reannotated: join(save, 'reannotated.json'),
    failedRows: join(save, 'failed_rows.jsonl'),
    summary: join(save, 'summary.json'),
    config: join(save, 'config.yaml'),
    batchObjects: join(save, 'batch_objects.json'),
    judgements: join(save, 'judgements.jsonl'),
    run: join(temp, 'run.json'),
    plan: join(temp, 'plan.json'),
    rows: join(temp, 'rows.jsonl'),
    ...requestFiles(temp),
    batches: join(temp, 'batches.json'),
    onlineMarker: join(temp, 'online_marker.json'),
    downloads: join(temp, 'downloads'),
    latencies: latenciesIn(temp),
    judge: join(temp, 'judge'),
    log: join(temp, 'output.log'),
  };
}

/** Files of an earlier run that a new one would destroy or mix with its own. */
export function earlierFiles(folder: RunFolder): string[] {
  const { run, plan, rows, jobs, journal, batches, reannotated, batchObjects } = folder;
  const files = [
    run,
    plan,
    rows,
    jobs,
    journal,
    batches,
    reannotated,
    batchObjects,
    ...exportFiles(folder.save),
  ];
  return files.filter((path) => existsSync(path));
}

/**
 * Moves the folders of an earlier run aside, under a name with the time; nothing is deleted.
 * @returns the new paths
 */
export function moveAside(folder: RunFolder, now: Date): string[] {
  const stamp = now.toISOString().replace(/[:.]/g, '-');
  const moved: string[] = [];
  for (const path of [folder.save, folder.temp]) {
    if (!existsSync(path)) continue;
    let aside = `${path}.${stamp}`;
    for (let count = 2; existsSync(aside); count++) aside = `${path}.${stamp}.${count}`;
    try {
      renameSync(path, aside);
    } catch (error) {
      throw fileProblem(error, `move ${path} aside`);
    }
    makeFolder(path);
    moved.push(aside);
  }
  return moved;
}
