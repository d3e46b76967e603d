/**
 * Batches that this folder knows nothing of, made the run's own: named by `--batch_ids` on another machine, or found
 * in the account by their metadata when the local record is lost. Whether they belong to the dataset is checked with
 * their metadata and, where the API still has it, with the very file that was submitted.
 */

import { rmSync } from 'node:fs';
import { relative } from 'node:path';
import { UserError } from '../lib/errors.js';
import { yieldToEventLoop, readLines } from '../lib/files.js';
import { makeOwnFolder } from '../lib/own-folder.js';
import type { RunFolder } from '../run/folder.js';
import type { IdentityFlags } from '../run/identity.js';
import { readJob } from '../run/jobs.js';
import type { Redactor } from '../secrets/redactor.js';
import { count, sanitize, plural } from '../lib/text.js';
import type { Reporter } from '../types.js';
import { isQueueRefusal, type Batch } from './batch.js';
import { CallFailed, type Waiting } from './calls.js';
import { LineIndex } from './line-index.js';
import { bodyOf, promptIn, rowOf } from './request-line.js';
import type { BatchApi } from './apis/batch-api.js';
import { listsNothing, walkAccount } from './account.js';
import { nameOf, newChunk, type Chunk } from './chunk.js';
import type { FileBounds } from './apis/batch-api.js';
import { download } from './download.js';
import { FileTooLarge } from './result-file.js';
import type { Ledger } from './ledger.js';
import {
  isCreation,
  isFor,
  isOtherFile,
  readOrigin,
  type BatchOrigin,
  type DatasetSource,
} from './metadata.js';
import { resultPath } from './result-files.js';

/** The API takes 200 MB (OpenAI), some servers 512 MB. */
const INPUT_BOUNDS: FileBounds = {
  bytes: 1 << 30,
  line: { bytes: 64 << 20, values: 12_000_000 },
};

/** What is known of the run that batches are looked up for. */
export interface WantedRun {
  dataset: string;
  annotator: string;
  /** The run's uuid; null where this folder knows nothing of a run yet. */
  run: string | null;
  /** Which local file it is; null for a dataset of the Hub. */
  source: DatasetSource | null;
}

/**
 * The run that batches come from.
 * @returns null where they say nothing of a run (another tool made them)
 * @throws UserError where they are of another dataset, annotator or run, or of several runs
 */
export function originOf(batches: readonly Batch[], wanted: WantedRun): BatchOrigin | null {
  let first: BatchOrigin | null = null;
  for (const { id, metadata } of batches) {
    const origin = readOrigin(metadata);
    if (origin === null) continue;
    if (!isFor(origin, wanted.dataset, wanted.annotator)) {
      throw new UserError(
        `${id} was submitted for the dataset ${sanitize(origin.dataset, 120)} and the annotator ` +
          `${sanitize(origin.annotator, 80)}, but --dataset and --annotator name another run.`,
      );
    }
    if (
      isOtherFile(origin, wanted.source) &&
      origin.source?.content !== null &&
      wanted.source?.content !== null
    ) {
      throw new UserError(
        `${sanitize(id, 80)} was submitted for another file of this name (${sanitize(origin.dataset, 120)}): its content differs from ` +
          `--dataset ${sanitize(wanted.dataset, 120)}.`,
      );
    }
    const expected: string | undefined = wanted.run ?? first?.run;
    if (expected !== undefined && origin.run !== expected) {
      throw new UserError(
        `${id} belongs to another run of this dataset and annotator (${sanitize(origin.run, 60)}, not ` +
          `${sanitize(expected, 60)}). Collect it with a --save_dir and --temp_dir of its own.`,
      );
    }
    first ??= origin;
  }
  return first;
}

/** The run's flags that decide which requests are sent, as recorded in its batches; those that are absent were not given. */
export function earlierFlags(origin: BatchOrigin, now: IdentityFlags): IdentityFlags {
  if (origin.asked === null) return now;
  const nothing = Object.fromEntries(Object.keys(now).map((name) => [name, null]));
  const { dataset, annotator } = now;
  return { ...nothing, ...origin.asked, dataset, annotator } as IdentityFlags;
}

/** What a search of the account brought. */
export interface FoundRun {
  batches: Batch[];
  /** Batches looked at. */
  seen: number;
  /** Why there may be more; null where the whole list was read. */
  doubt: string | null;
  /** Names of other files than the wanted one that batches of its name were submitted for. */
  otherFiles: string[];
}

/**
 * The account's batches of a run, found by their metadata; those of the newest run where this folder knows none.
 * @param onProgress called with the number of batches looked at
 */
export async function findInAccount(
  client: BatchApi,
  wanted: WantedRun,
  waiting: Waiting,
  onProgress: (batches: number) => void,
): Promise<FoundRun> {
  const runs = new Map<string, Batch[]>();
  const otherFiles = new Set<string>();
  let looked = 0;
  const visit = (batch: Batch): boolean => {
    onProgress(++looked);
    const origin = readOrigin(batch.metadata);
    if (origin === null || !isFor(origin, wanted.dataset, wanted.annotator)) return false;
    if (wanted.run !== null && origin.run !== wanted.run) return false;
    if (wanted.run === null && isOtherFile(origin, wanted.source)) otherFiles.add(origin.dataset);
    else runs.set(origin.run, [...(runs.get(origin.run) ?? []), batch]);
    return false;
  };
  const { doubt, seen, undecided } = await walkAccount(client, waiting, { floor: null, visit });
  const newest = (batches: readonly Batch[]): number =>
    Math.max(...batches.map(({ createdAt }) => createdAt));
  const [batches = []] = [...runs.values()].sort((a, b) => newest(b) - newest(a));
  return { batches, seen, doubt: doubt ?? describeUndecided(undecided), otherFiles: [...otherFiles] };
}

/** The account's batches of a run that this folder does not know of. */
export interface Siblings {
  batches: Batch[];
  /** Why there may be more; null where the account says for certain. */
  doubt: string | null;
  /** True where the server's list shows none at all of the run's batches, or does not exist. */
  isBlind: boolean;
  /** Batches that run, and do not say before they end whether they are the run's. */
  undecided: Batch[];
}

/** What is looked for. */
export interface SiblingSearch {
  /** The run's uuid. */
  run: string;
  ledger: Ledger;
  /** Seconds since 1970 before which the run cannot have had batches; null where that is not known. */
  earliest: number | null;
  /** True where this key has just seen one of the run's batches. */
  isOurAccount: boolean;
}

/**
 * Looks for batches of a run that were submitted from elsewhere: before rows are paid for it must be known where they
 * may already have been sent.
 */
export async function findSiblings(
  { run, ledger, earliest, isOurAccount }: SiblingSearch,
  client: BatchApi,
  waiting: Waiting,
): Promise<Siblings> {
  const known = new Set(ledger.batches.map(({ id }) => id));
  const batches: Batch[] = [];
  let knownSeen = 0;
  try {
    const { doubt, undecided } = await walkAccount(client, waiting, {
      floor: earliest,
      isKnown: ({ id }) => known.has(id),
      visit: (batch) => {
        if (known.has(batch.id)) knownSeen += 1;
        else if (readOrigin(batch.metadata)?.run === run) batches.push(batch);
        return false;
      },
    });
    const isBlind = known.size > 0 && knownSeen === 0;
    const stranger = 'this key sees none of the run’s batches, so it may belong to another project';
    return { batches, doubt: doubt ?? (isBlind && !isOurAccount ? stranger : null), isBlind, undecided };
  } catch (error) {
    if (listsNothing(error)) return { batches: [], doubt: null, isBlind: true, undecided: [] };
    throw error;
  }
}

/** Enters batches into the ledger and returns their chunks. */
export function enter(batches: readonly Batch[], ledger: Ledger): Chunk[] {
  const groups = new Map<string, Batch[]>();
  for (const batch of [...batches].sort((a, b) => a.createdAt - b.createdAt)) {
    const origin = readOrigin(batch.metadata);
    const key = origin === null ? batch.id : `${origin.run} ${origin.chunk}`;
    groups.set(key, [...(groups.get(key) ?? []), batch]);
  }
  return [...groups.values()].flatMap((group) => enterGroup(group, ledger));
}

/** Batches of one chunk: what the queue refused was submitted again, unless it is the last that is known. */
function enterGroup(group: readonly Batch[], ledger: Ledger): Chunk[] {
  const live = group.filter((batch) => !isQueueRefusal(batch));
  const kept = live.length > 0 ? live : group.slice(-1);
  ledger.supersede(group.filter((batch) => !kept.includes(batch)));
  return kept.map((batch) => {
    const origin = readOrigin(batch.metadata);
    const unanswered = ledger.chunks.find((chunk) => isMadeOf(batch, chunk));
    if (unanswered !== undefined) {
      ledger.change(unanswered, { kind: 'created', batch });
      return unanswered;
    }
    const isTaken = origin === null || ledger.chunks.some(({ number }) => number === origin.chunk);
    const chunk: Chunk = {
      ...newChunk(isTaken ? ledger.nextNumber : origin.chunk, null, {
        requests: batch.counts.total,
        bytes: 0,
        tokens: 0,
      }),
      state: 'submitted',
      isAdopted: true,
      inputFileId: batch.inputFileId,
      attempt: origin?.attempt ?? 1,
      creation: origin?.creation ?? null,
      batch,
    };
    ledger.add([chunk]);
    return chunk;
  });
}

/** True where a batch is the one whose creation was not answered. */
function isMadeOf(batch: Batch, chunk: Chunk): boolean {
  if (chunk.state !== 'creating') return false;
  if (chunk.inputFileId !== null && chunk.inputFileId === batch.inputFileId) return true;
  return isCreation(readOrigin(batch.metadata)?.creation ?? null, chunk.creation);
}

/** What to say of batches that do not say whose they are as long as they run; null where there are none. */
export function describeUndecided(batches: readonly Batch[]): string | null {
  const [first] = batches;
  if (first === undefined) return null;
  const others = batches.length > 1 ? ` and ${count(batches.length - 1)} more` : '';
  return `${sanitize(first.id, 80)}${others} cannot be matched to a run until they have ended`;
}

export interface InputParts {
  folder: RunFolder;
  ledger: Ledger;
  client: BatchApi;
  waiting: Waiting;
  reporter: Reporter;
  redactor: Redactor;
  rows: number;
}

/**
 * Brings the input files of adopted batches here and compares their prompts with the dataset's.
 * @throws UserError where batch and dataset do not belong together
 */
export async function bringInputs(chunks: readonly Chunk[], parts: InputParts): Promise<void> {
  const { folder, ledger, rows, reporter } = parts;
  makeOwnFolder(folder.downloads);
  const { index: jobs } = await LineIndex.build(
    folder.jobs,
    rows,
    (line) => readJob(line)?.requestIdx ?? null,
  );
  try {
    for (const chunk of chunks.filter(({ isAdopted }) => isAdopted)) {
      const path = await bringInput(chunk, parts);
      if (path === null) {
        reporter.warning(
          `The input file of ${nameOf(chunk)} is not available, so its prompts are not compared with the dataset's.`,
        );
        continue;
      }
      const size = await comparePrompts(path, nameOf(chunk), jobs);
      ledger.describeInput(chunk, { file: relative(folder.temp, path), ...size });
    }
  } finally {
    jobs.close();
  }
}

async function bringInput(
  chunk: Chunk,
  { folder, client, waiting, redactor }: InputParts,
): Promise<string | null> {
  if (chunk.batch === null || chunk.inputFileId === null) return null;
  const path = resultPath(folder, chunk.batch, 'input');
  if (path === null) return null;
  const parts = { client, waiting, redactor, bounds: INPUT_BOUNDS };
  try {
    if (!(await download(chunk.inputFileId, path, parts))) return null;
    if (holdsRequests(path)) return path;
    // A page or an error in place of the file: it is not kept.
    rmSync(path);
    return null;
  } catch (error) {
    // The account that made it keeps it; without it the answers are still taken.
    if (error instanceof CallFailed && error.verdict.kind === 'row') return null;
    if (error instanceof FileTooLarge) return null;
    throw error;
  }
}

/** True for a file whose first line is a request. */
function holdsRequests(path: string): boolean {
  for (const { bytes } of readLines(path)) if (bytes.length > 0) return bodyOf(bytes) !== null;
  return false;
}

async function comparePrompts(
  path: string,
  id: string,
  jobs: LineIndex,
): Promise<Pick<Chunk, 'requests' | 'bytes'>> {
  const size = { requests: 0, bytes: 0 };
  let number = 0;
  for (const { bytes } of readLines(path)) {
    number += 1;
    if (bytes.length === 0) continue;
    const row = rowOf(bytes);
    if (row === null || row >= jobs.rows) {
      throw notTogether(
        id,
        `line ${count(number)} of its file is for a row that the dataset does not have`,
        jobs.rows,
      );
    }
    const job = jobs.read(row);
    const theirs = promptIn(bodyOf(bytes));
    if (job === null || theirs !== promptIn(readJob(job)?.body ?? null)) {
      throw notTogether(id, `its prompt for row ${row} differs from the dataset’s`, jobs.rows);
    }
    size.requests += 1;
    size.bytes += bytes.length + 1;
    if (number % 500 === 0) await yieldToEventLoop();
  }
  return size;
}

function notTogether(id: string, why: string, rows: number): UserError {
  return new UserError(
    `${id} does not belong to this dataset of ${plural(rows, 'row')}: ${why}. Check --batch_ids and --dataset, and give ` +
      'the flags that chose its rows (--subset, --split, --limit, --offset, --format) if the batch was made by another tool.',
  );
}
