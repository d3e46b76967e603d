/**
 * Batches that this folder knows nothing of, made the run's own: named by `--batch_ids` on another machine, or found
 * in the account by their metadata when the local record is lost. Whether they belong to the dataset is checked with
 * their metadata and, where the API still has it, with the very file that was submitted.
 */

import { mkdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { UserError } from '../errors.js';
import { breathe, readLines } from '../files.js';
import { isObject, parseJson } from '../json.js';
import type { RunFolder } from '../run/folder.js';
import type { AskedFor } from '../run/identity.js';
import { readJob } from '../run/jobs.js';
import { count, inert, plural, type Redactor } from '../text.js';
import type { Reporter } from '../types.js';
import { isQueueRefusal, type Batch } from './batch.js';
import { CallFailed, type Waiting } from './calls.js';
import { LineIndex } from './line-index.js';
import { bodyOf, rowOf } from './request-line.js';
import type { BatchClient } from './client.js';
import { resultPath } from './collect.js';
import { download } from './download.js';
import { newChunk, type Chunk, type Ledger } from './ledger.js';
import { isFor, readOrigin, type BatchOrigin } from './metadata.js';
import { accountBatches } from './submit.js';

/** What is known of the run that batches are looked up for. */
export interface WantedRun {
  dataset: string;
  annotator: string;
  /** The run's uuid; null where this folder knows nothing of a run yet. */
  run: string | null;
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
        `${id} was submitted for the dataset ${inert(origin.dataset, 120)} and the annotator ` +
          `${inert(origin.annotator, 80)}, which is not what --dataset and --annotator name.`,
      );
    }
    const expected: string | undefined = wanted.run ?? first?.run;
    if (expected !== undefined && origin.run !== expected) {
      throw new UserError(
        `${id} belongs to another run of this dataset and annotator (${inert(origin.run, 60)}, not ` +
          `${inert(expected, 60)}). Collect it with a --save_dir and --temp_dir of its own.`,
      );
    }
    first ??= origin;
  }
  return first;
}

/** The run's flags that decide what is asked, as its batches tell them; those that they leave out were not given. */
export function askedBefore(origin: BatchOrigin, now: AskedFor): AskedFor {
  if (origin.asked === null) return now;
  const nothing = Object.fromEntries(Object.keys(now).map((name) => [name, null]));
  const { dataset, annotator } = now;
  return { ...nothing, ...origin.asked, dataset, annotator } as AskedFor;
}

/**
 * The account's batches of a run, found by their metadata; those of the newest run where this folder knows none.
 * @param onProgress called with the number of batches looked at
 */
export async function findInAccount(
  client: BatchClient,
  wanted: WantedRun,
  waiting: Waiting,
  onProgress: (batches: number) => void,
): Promise<Batch[]> {
  const runs = new Map<string, Batch[]>();
  let looked = 0;
  for await (const batch of accountBatches(client, waiting)) {
    onProgress(++looked);
    const origin = readOrigin(batch.metadata);
    if (origin === null || !isFor(origin, wanted.dataset, wanted.annotator)) continue;
    if (wanted.run !== null && origin.run !== wanted.run) continue;
    runs.set(origin.run, [...(runs.get(origin.run) ?? []), batch]);
  }
  const newest = (batches: readonly Batch[]): number =>
    Math.max(...batches.map(({ createdAt }) => createdAt));
  return [...runs.values()].sort((a, b) => newest(b) - newest(a))[0] ?? [];
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
  ledger.superseded.push(...group.filter((batch) => !kept.includes(batch)));
  return kept.map((batch) => {
    const origin = readOrigin(batch.metadata);
    const unanswered = ledger.chunks.find((chunk) => isMadeOf(batch, chunk));
    if (unanswered !== undefined) {
      return Object.assign(unanswered, { state: 'submitted', batch } satisfies Partial<Chunk>);
    }
    const isTaken = origin === null || ledger.chunks.some(({ number }) => number === origin.chunk);
    const chunk = newChunk(isTaken ? ledger.nextNumber : origin.chunk, null, {
      requests: batch.counts.total,
      bytes: 0,
      tokens: 0,
    });
    Object.assign(chunk, {
      state: 'submitted',
      isAdopted: true,
      inputFileId: batch.inputFileId,
      attempt: origin?.attempt ?? 1,
      batch,
    } satisfies Partial<Chunk>);
    ledger.chunks.push(chunk);
    return chunk;
  });
}

/** True where a batch is the one whose creation was not answered. */
function isMadeOf(batch: Batch, chunk: Chunk): boolean {
  return chunk.state === 'creating' && chunk.inputFileId !== null && chunk.inputFileId === batch.inputFileId;
}

export interface InputParts {
  folder: RunFolder;
  client: BatchClient;
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
  const { folder, rows, reporter } = parts;
  mkdirSync(folder.downloads, { recursive: true, mode: 0o700 });
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
          `The file that ${chunk.batch?.id ?? ''} was made of can't be had; its prompts are not compared with the dataset's.`,
        );
        continue;
      }
      await comparePrompts(path, chunk, jobs);
      chunk.file = relative(folder.temp, path);
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
  const path = join(resultPath(folder, chunk.batch, 'input'));
  try {
    return (await download(client, chunk.inputFileId, path, waiting, redactor)) ? path : null;
  } catch (error) {
    // The account that made it keeps it; without it the answers are still taken.
    if (error instanceof CallFailed && error.verdict.kind === 'row') return null;
    throw error;
  }
}

async function comparePrompts(path: string, chunk: Chunk, jobs: LineIndex): Promise<void> {
  const id = chunk.batch?.id ?? '';
  let number = 0;
  chunk.requests = 0;
  for (const { bytes } of readLines(path)) {
    number += 1;
    if (bytes.length === 0) continue;
    const row = rowOf(bytes);
    if (row === null || row >= jobs.rows) {
      throw notTogether(
        id,
        `line ${count(number)} of its file asks for a row that the dataset does not have`,
        jobs.rows,
      );
    }
    const job = jobs.read(row);
    const theirs = messagesIn(bodyOf(bytes));
    if (job === null || theirs !== messagesIn(readJob(job)?.body ?? null)) {
      throw notTogether(id, `it asked row ${row} with another prompt than the dataset gives`, jobs.rows);
    }
    chunk.requests += 1;
    chunk.bytes += bytes.length + 1;
    if (number % 500 === 0) await breathe();
  }
}

function messagesIn(body: Buffer | null): string | null {
  const value = body === null ? undefined : parseJson(body.toString('utf8'));
  return isObject(value) ? JSON.stringify(value['messages']) : null;
}

function notTogether(id: string, why: string, rows: number): UserError {
  return new UserError(
    `${id} does not belong to this dataset of ${plural(rows, 'row')}: ${why}. Check --batch_ids and --dataset, and give ` +
      'the flags that chose its rows (--subset, --split, --limit, --offset, --format) where the batch was made by another tool.',
  );
}
