/**
 * `jobs_batch*.json`, the files that are uploaded: one request a line,
 * `{"custom_id":"N","method":"POST","url":"/v1/chat/completions","body":{…}}`, cut at the number of requests or bytes
 * that comes first. They are streamed in both directions; memory holds a number for each row at most.
 */

import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../lib/errors.js';
import { yieldToEventLoop, readLines, replaceFile } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { noteDiscarded } from '../lib/memory.js';
import { ParameterFit } from '../requests/parameters.js';
import { TokenEstimate } from '../requests/tokens.js';
import type { RunFolder } from '../run/folder.js';
import { readJobs } from '../run/jobs.js';
import { count, plural } from '../lib/text.js';
import { bodyOf, REQUEST_URLS, requestLine, rowOf, type RequestUrl } from './request-line.js';
import { newChunk, type Chunk } from './chunk.js';
import type { Ledger } from './ledger.js';

const CHUNK_FILE = /^jobs_batch_(\d+)\.json$/;
const BREATHE_EVERY = 1000;

/** How large a file may be. */
export interface ChunkLimits {
  requests: number;
  bytes: number;
}

/** Which rows are planned. */
export interface PlanRows {
  /** Rows of the run. */
  total: number;
  wanted: (row: number) => boolean;
  /** The endpoint that answers them. */
  url: RequestUrl;
  /** Called for a row whose request alone is larger than a file may be. */
  onTooLarge: (row: number, body: Buffer) => void;
  /** Called with the rows so far. */
  onProgress: (rows: number) => void;
}

/**
 * Writes the files of all wanted rows and enters them into the ledger. Until the ledger is saved nothing counts, so
 * a crash in between leaves only files that the next plan replaces.
 */
export async function planChunks(
  folder: RunFolder,
  ledger: Ledger,
  rows: PlanRows,
  limits: ChunkLimits,
): Promise<Chunk[]> {
  removeUnknownFiles(folder, ledger);
  const lines = new LineSource(folder, ledger, rows, limits.bytes);
  const first = ledger.nextNumber;
  const chunks: Chunk[] = [];
  while (lines.peek() !== null) {
    const number = first + chunks.length;
    const file = `jobs_batch_${number}.json`;
    const size = await writeChunk(join(folder.temp, file), lines, limits);
    chunks.push(newChunk(number, file, size));
  }
  if (chunks.length === 1 && first === 0) {
    renameSync(join(folder.temp, 'jobs_batch_0.json'), join(folder.temp, 'jobs_batch.json'));
    chunks[0] = { ...(chunks[0] as Chunk), file: 'jobs_batch.json' };
  }
  ledger.add(chunks);
  await ledger.save();
  return chunks;
}

/** How large a file of requests is. */
interface Size {
  requests: number;
  bytes: number;
  tokens: number;
}

/** Files of a plan that was killed before it was written down. */
function removeUnknownFiles(folder: RunFolder, ledger: Ledger): void {
  const next = ledger.nextNumber;
  for (const name of readdirSync(folder.temp)) {
    const number = CHUNK_FILE.exec(name)?.[1];
    if (number === undefined || Number(number) < next) continue;
    rmSync(join(folder.temp, name), { force: true });
  }
}

interface ChunkLine {
  bytes: Buffer;
  tokens: number;
}

/** The lines of all wanted rows, one ahead. */
class LineSource {
  readonly #jobs;
  readonly #fit = new ParameterFit();
  readonly #estimate = new TokenEstimate();
  /** A row is asked once, whatever the jobs say. */
  readonly #seen: Uint8Array;
  #next: ChunkLine | null | undefined;
  #planned = 0;

  constructor(
    folder: RunFolder,
    ledger: Ledger,
    private readonly rows: PlanRows,
    private readonly maximumBytes: number,
  ) {
    this.#jobs = readJobs(folder.jobs);
    this.#seen = new Uint8Array(rows.total);
    for (const change of ledger.learnt) this.#fit.learn(change);
  }

  peek(): ChunkLine | null {
    if (this.#next === undefined) this.#next = this.#read();
    return this.#next;
  }

  take(): void {
    this.#next = undefined;
  }

  #read(): ChunkLine | null {
    for (let job = this.#jobs.next(); job.done !== true; job = this.#jobs.next()) {
      const { requestIdx, body } = job.value;
      if (this.#seen[requestIdx] !== 0 || !this.rows.wanted(requestIdx)) continue;
      this.#seen[requestIdx] = 1;
      const bytes = requestLine(requestIdx, this.#fit.apply(body), this.rows.url);
      if (bytes.length > this.maximumBytes) {
        this.rows.onTooLarge(requestIdx, body);
        continue;
      }
      this.rows.onProgress(++this.#planned);
      return { bytes, tokens: this.#estimate.of(body) };
    }
    return null;
  }
}

async function writeChunk(path: string, lines: LineSource, limits: ChunkLimits): Promise<Size> {
  const size: Size = { requests: 0, bytes: 0, tokens: 0 };
  await replaceFile(path, async (file) => {
    for (let line = lines.peek(); line !== null; line = lines.peek()) {
      if (size.requests >= limits.requests || size.bytes + line.bytes.length > limits.bytes) return;
      file.write(line.bytes);
      addLine(size, line.bytes.length, line.tokens);
      lines.take();
      noteDiscarded(line.bytes.length * 2);
      if (size.requests % BREATHE_EVERY === 0) await yieldToEventLoop();
    }
  });
  return size;
}

function addLine(size: Size, bytes: number, tokens: number): void {
  size.requests += 1;
  size.bytes += bytes;
  size.tokens += tokens;
}

/**
 * Splits a chunk that is too large for the queue into two, which wait in its place.
 * @returns false where a chunk of one request can't be split
 */
export async function halve(folder: RunFolder, ledger: Ledger, chunk: Chunk): Promise<boolean> {
  const path = ledger.pathOf(chunk);
  if (path === null || chunk.requests < 2) return false;
  const number = ledger.nextNumber;
  const middle = Math.ceil(chunk.requests / 2);
  const halves: Chunk[] = [];
  for (const [position, one] of [number, number + 1].entries()) {
    const file = `jobs_batch_${one}.json`;
    const [from, to] = position === 0 ? [0, middle] : [middle, Infinity];
    halves.push(newChunk(one, file, await copyLines(path, join(folder.temp, file), from, to)));
  }
  ledger.change(chunk, { kind: 'halved' });
  ledger.add(halves);
  for (const half of halves) ledger.change(half, { kind: 'waits', reason: null, tryAgainAt: null });
  await ledger.save();
  return true;
}

async function copyLines(source: string, target: string, from: number, to: number): Promise<Size> {
  const size: Size = { requests: 0, bytes: 0, tokens: 0 };
  const estimate = new TokenEstimate();
  await replaceFile(target, async (file) => {
    let number = 0;
    for (const { bytes } of readLines(source)) {
      if (number >= to) return;
      if (number >= from) {
        file.write(bytes);
        file.write('\n');
        const body = bodyOf(bytes);
        addLine(size, bytes.length + 1, body === null ? 0 : estimate.of(body));
      }
      number += 1;
      if (number % BREATHE_EVERY === 0) await yieldToEventLoop();
    }
  });
  return size;
}

/**
 * Checks a file just before it is uploaded, since a single wrong line fails the whole batch minutes later: every line
 * a request with an id of its own, one model, the known address, and the size that was planned.
 * @throws UserError that names file and line
 */
export async function checkChunk(path: string, chunk: Chunk): Promise<void> {
  const seen = new Set<string>();
  let model: unknown;
  let url: unknown;
  let number = 0;
  let size = 0;
  for (const { bytes } of readLines(path)) {
    number += 1;
    size += bytes.length + 1;
    const line = parseJson(bytes.toString('utf8'));
    const body = isObject(line) && isObject(line['body']) ? line['body'] : null;
    const id = isObject(line) ? line['custom_id'] : null;
    model ??= body?.['model'];
    url ??= REQUEST_URLS.find((one) => isObject(line) && line['url'] === one);
    const problem = !isObject(line)
      ? 'is not a JSON object'
      : typeof id !== 'string' || seen.has(id)
        ? 'has no custom_id of its own'
        : line['method'] !== 'POST' || line['url'] !== url
          ? `is not for ${typeof url === 'string' ? url : REQUEST_URLS.join(' or ')}`
          : body === null || body['model'] !== model
            ? 'names another model than the lines before it'
            : null;
    if (problem !== null) throw damaged(path, `line ${count(number)} ${problem}`);
    seen.add(id as string);
    noteDiscarded(bytes.length * 3);
    if (number % BREATHE_EVERY === 0) await yieldToEventLoop();
  }
  if (number !== chunk.requests || size !== chunk.bytes) {
    throw damaged(path, `it holds ${plural(number, 'request')} instead of ${count(chunk.requests)}`);
  }
}

function damaged(path: string, what: string): UserError {
  return new UserError(
    `${path} has changed since it was written: ${what}. Delete it and run the same command with --resume, ` +
      'which rebuilds it.',
  );
}

/** The row of a line of a chunk's file, counted from 1; null where there is no such line. */
export function rowAtLine(path: string, wanted: number): number | null {
  let number = 0;
  for (const { bytes } of readLines(path)) {
    number += 1;
    if (number === wanted) return rowOf(bytes);
  }
  return null;
}
