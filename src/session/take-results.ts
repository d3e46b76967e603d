/** `watch-batch --results FILE`: results in OpenAI's format, from wherever they come, become a part of the run. */

import { createReadStream, existsSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { idDigest, readBatch, type Batch } from '../batches/batch.js';
import { newChunk, type Chunk } from '../batches/chunk.js';
import { collect, type CollectParts } from '../batches/collect.js';
import { LONG } from '../batches/delivery.js';
import { isHandRun } from '../batches/hand-run.js';
import { rowsIn } from '../batches/held-rows.js';
import { rowOfId } from '../batches/request-line.js';
import { cleanLines } from '../batches/clean-lines.js';
import { FileTooLarge, makeLines } from '../batches/result-file.js';
import { resultPath } from '../batches/result-files.js';
import { readResultLine, type ResultLine } from '../batches/results.js';
import { UserError } from '../lib/errors.js';
import { cooperativePause, fileProblem, openInput, readLines, replaceFile } from '../lib/files.js';
import { makeOwnFolder } from '../lib/own-folder.js';
import { count, sanitize, plural } from '../lib/text.js';
import type { WatchedRun } from './open-watched-run.js';
import type { CommandContext } from './command-context.js';

/** How a result file is named until both are written. */
const NEW_SUFFIX = '.new';

/** What the given files hold. */
interface Given {
  /** Copies in the run's own folder, as JSON Lines. */
  copies: string[];
  /** 1 for a row that has a line. */
  marks: Uint8Array;
  lines: number;
}

/**
 * Takes results into the journal: first those of files that were written for the user to run, then those of any other
 * row without an answer.
 * @returns how many rows got an answer
 * @throws UserError where no line is about a row of this run
 */
export async function takeResults(
  paths: readonly string[],
  watched: WatchedRun,
  parts: CollectParts,
  { console }: CommandContext,
): Promise<number> {
  const { ledger, run } = watched;
  const given = await bring(paths, watched, parts);
  try {
    if (!given.marks.includes(1)) throw nothingFor(paths, given, run.rows);
    let answers = 0;
    const waiting = ledger.chunks.filter((chunk) => isHandRun(chunk) && isOpen(chunk));
    for (const chunk of waiting) answers += await takeChunk(chunk, given, watched, parts);
    answers += await takeOthers(given, watched, parts);
    console.info(
      `Imported ${plural(answers, 'answer')} from ${plural(given.lines, 'line')} of ${paths.map((path) => sanitize(path, 200)).join(', ')}.`,
    );
    tellShort(watched, console);
    return answers;
  } finally {
    for (const copy of given.copies) rmSync(copy, { force: true });
  }
}

function isOpen({ state }: Chunk): boolean {
  return state === 'submitted' || state === 'short';
}

/** Copies the files, unpacked, and looks which rows they are about. */
async function bring(
  paths: readonly string[],
  { folder, run }: WatchedRun,
  parts: CollectParts,
): Promise<Given> {
  makeOwnFolder(folder.downloads);
  const given: Given = { copies: [], marks: new Uint8Array(run.rows), lines: 0 };
  const pause = cooperativePause();
  for (const path of paths) {
    if (!existsSync(path)) throw new UserError(`--results: there is no file ${sanitize(path, 300)}.`);
    const copy = join(folder.downloads, `given-${idDigest(resolve(path))}.jsonl`);
    given.copies.push(copy);
    try {
      await replaceFile(copy, async (file) => {
        const stream = createReadStream('', { fd: openInput(path) });
        for await (const piece of stream) file.write(piece as Buffer);
      });
    } catch (error) {
      throw fileProblem(error, `copy ${path}`);
    }
    await prepare(copy, path, run.rows, parts);
    for (const { bytes } of readLines(copy)) {
      await pause();
      if (bytes.length === 0) continue;
      given.lines += 1;
      const row = rowOfLine(bytes);
      if (row !== null && row < run.rows) given.marks[row] = 1;
    }
  }
  return given;
}

/** Makes clean lines of a copy. @throws UserError where it unpacks to more than results of this run can be */
async function prepare(
  copy: string,
  path: string,
  rows: number,
  { bounds, redactor, waiting }: CollectParts,
): Promise<void> {
  const { bytes, line } = bounds(rows);
  try {
    await makeLines(copy, bytes, waiting.signal);
  } catch (error) {
    if (!(error instanceof FileTooLarge)) throw error;
    throw new UserError(
      `--results: ${sanitize(path, 300)} ${error.message}, so it cannot be results of this run.`,
    );
  }
  await cleanLines(copy, redactor, line, waiting.signal);
}

function rowOfLine(bytes: Buffer): number | null {
  return rowOfId(readResultLine(bytes)?.id ?? null);
}

/** The rows of a file that the user ran, as far as there are results for them. */
async function takeChunk(
  chunk: Chunk,
  given: Given,
  watched: WatchedRun,
  parts: CollectParts,
): Promise<number> {
  const { ledger, run } = watched;
  const rows = await rowsIn([chunk], ledger, run.rows);
  if (!rows.some((isSubmitted, row) => isSubmitted === 1 && given.marks[row] === 1)) return 0;
  const id = chunk.batch?.id ?? '';
  const files = await addLines(given, rows, id, watched);
  const batch = endedBatch(id, chunk.requests, chunk.batch?.createdAt ?? 0, files);
  for (const [row, isSubmitted] of rows.entries()) if (isSubmitted === 1) given.marks[row] = 0;
  ledger.change(chunk, { kind: 'seen', batch });
  return collectNow(chunk, batch, parts);
}

/** Rows that are in no such file: of requests that were sent some other way. */
async function takeOthers(given: Given, watched: WatchedRun, parts: CollectParts): Promise<number> {
  const { ledger, run } = watched;
  const rows = given.marks.map((isThere, row) => (isThere === 1 && !run.index.isAnswered(row) ? 1 : 0));
  const requests = rows.reduce((sum, isWanted) => sum + isWanted, 0);
  if (requests === 0) return 0;
  const number = ledger.nextNumber;
  const id = `hand-run/results-${number}`;
  const files = await addLines(given, rows, id, watched);
  const batch = endedBatch(id, requests, Math.floor(Date.now() / 1000), files);
  const chunk: Chunk = {
    ...newChunk(number, null, { requests, bytes: 0, tokens: 0 }),
    state: 'submitted',
    isAdopted: true,
    batch,
  };
  ledger.add([chunk]);
  return collectNow(chunk, batch, parts);
}

/** Which of its two files a batch has. */
type Files = Readonly<Record<'output' | 'error', boolean>>;

/** It counts nothing, so that every row without a line is missed. */
function endedBatch(id: string, requests: number, createdAt: number, files: Files): Batch {
  const batch = readBatch({
    id,
    object: 'batch',
    status: 'completed',
    output_file_id: files.output ? 'given' : null,
    error_file_id: files.error ? 'given-errors' : null,
    created_at: createdAt,
    completed_at: Math.floor(Date.now() / 1000),
    request_counts: { total: requests },
  });
  if (batch === null) throw new Error(`${id} cannot be the id of a batch`);
  return batch;
}

/**
 * Adds lines of rows to what is there of them from earlier: answers to the batch's output file, errors to its error file.
 * A row has one line, and an answer goes before an error.
 */
async function addLines(
  { copies }: Given,
  rows: Uint8Array,
  id: string,
  { folder, call }: WatchedRun,
): Promise<Files> {
  const { redactor } = call.environment;
  const named = endedBatch(id, 0, 0, { output: true, error: true });
  const paths = { output: givenPath(folder, named, 'output'), error: givenPath(folder, named, 'error') };
  const sources = [paths.output, paths.error, ...copies].filter((one) => existsSync(one));
  const seen = new Uint8Array(rows.length);
  const written = { output: false, error: false };
  const addKind = (kind: keyof Files): Promise<void> =>
    replaceFile(`${paths[kind]}${NEW_SUFFIX}`, async (file) => {
      const pause = cooperativePause();
      for (const source of sources) {
        for (const { bytes } of readLines(source)) {
          await pause();
          const line = readResultLine(bytes);
          const row = rowOfId(line?.id ?? null);
          if (line === null || row === null || rows[row] !== 1 || seen[row] === 1) continue;
          if (isError(line) !== (kind === 'error')) continue;
          seen[row] = 1;
          written[kind] = true;
          file.write(redactor.bytes(bytes));
          file.write('\n');
        }
      }
    });
  await addKind('output');
  await addKind('error');
  for (const kind of ['output', 'error'] as const) {
    renameSync(`${paths[kind]}${NEW_SUFFIX}`, paths[kind]);
    if (!written[kind]) rmSync(paths[kind]);
  }
  return written;
}

function givenPath(folder: WatchedRun['folder'], batch: Batch, kind: keyof Files): string {
  const path = resultPath(folder, batch, kind);
  if (path === null) throw new Error(`${batch.id} names no ${kind} file`);
  return path;
}

function isError({ response, error }: ResultLine): boolean {
  return error !== null || response === null || response.status < 200 || response.status >= 400;
}

/** A file on this disk does not change while it is waited for, so all patience is used up at once. */
async function collectNow(chunk: Chunk, batch: Batch, parts: CollectParts): Promise<number> {
  let answers = 0;
  for (let looks = 0; looks <= LONG.times && chunk.state === 'submitted'; looks++) {
    const outcome = await collect(chunk, batch, { elapsed: LONG.overMs, givenUp: false }, parts);
    answers += outcome.answers;
  }
  return answers;
}

function tellShort({ ledger }: WatchedRun, console: CommandContext['console']): void {
  for (const chunk of ledger.chunks.filter((one) => isHandRun(one) && one.state === 'short')) {
    const missing = chunk.requests - (chunk.collected?.accounted ?? 0);
    const file = chunk.file ?? '';
    console.warning(
      `${count(missing)} of the ${plural(chunk.requests, 'request')} of ${file} have no result, so their rows are held back. ` +
        `Give the file that has them with --results, or release the rows with --give_up ${file}.`,
    );
  }
}

function nothingFor(paths: readonly string[], { lines }: Given, rows: number): UserError {
  return new UserError(
    `No line of ${paths.map((path) => sanitize(path, 200)).join(', ')} (${plural(lines, 'line')}) is about one of the ` +
      `${plural(rows, 'row')} of this run: their custom_id has to be the number of a row, as in the batch files.`,
  );
}
