/** The rows of a shard, read from where the plan says, and known to be those that it saw. */

import { createHash } from 'node:crypto';
import { closeSync, statSync } from 'node:fs';
import { openDataset } from '../datasets/index.js';
import { readLineRange } from '../datasets/line-ranges.js';
import { UserError } from '../lib/errors.js';
import { cooperativePause, fileProblem, openInput, readAt, replaceFile } from '../lib/files.js';
import { sanitize, plural } from '../lib/text.js';
import type { DatasetRequest, HubEnvironment, OpenDataset, Reporter, SourceRow } from '../types.js';
import type { Plan, PlannedFile, PlannedShard } from './plan.js';

const PIECE_BYTES = 1 << 20;
/** The metadata's length and `PAR1`. */
const TRAILER_BYTES = 8;
const LARGEST_FOOTER_BYTES = 256 << 20;

/** What the plan says of a shard's input; a worker writes the same once it has read and compared it. */
export function inputDigest({ found, files }: Pick<Plan, 'found' | 'files'>, shard: PlannedShard): string {
  if (shard.place.kind !== 'rows') return shard.place.sha256;
  const facts = [found.revision, files.map(({ sha256 }) => sha256), shard.start, shard.rows];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex');
}

/** How a dataset is opened that is read by row numbers. */
export interface DatasetAccess {
  request: DatasetRequest;
  hub: HubEnvironment;
  reporter: Reporter;
  signal: AbortSignal;
}

/**
 * The rows of a shard that are read from the dataset. They may be used only once all of them were read.
 * @param columns that are used
 * @throws UserError where the dataset has changed since it was planned
 */
export async function* datasetRows(
  plan: Plan,
  shard: PlannedShard,
  columns: readonly string[],
  access: DatasetAccess,
): AsyncGenerator<SourceRow> {
  const { place, start, rows } = shard;
  if (place.kind === 'lines') {
    const { path: planned, ...range } = place;
    // A worker may have the dataset elsewhere.
    const path = planned === plan.flags['dataset'] ? access.request.dataset : planned;
    yield* readLineRange({ path, range, firstRow: start, rows, columns }, access.signal);
    return;
  }
  const { request, hub, reporter, signal } = access;
  for (const file of plan.files) await refuseChanged(file);
  const dataset = await openDataset(request, hub, reporter, signal);
  refuseOtherRevision(plan, dataset, request.dataset);
  let read = 0;
  for await (const row of dataset.rows({ columns, offset: start, limit: rows, signal })) {
    read += 1;
    yield row;
  }
  if (read !== rows)
    throw changed(request.dataset, `it gives ${plural(read, 'row')} of ${rows} from row ${start} on`);
}

function refuseOtherRevision({ found }: Plan, { revision }: OpenDataset, name: string): void {
  if (found.revision === revision) return;
  throw changed(name, `revision ${found.revision ?? 'none'} then, ${revision ?? 'none'} now`);
}

async function refuseChanged(file: PlannedFile): Promise<void> {
  const now = await planFile(file.path);
  if (now.size === file.size && now.sha256 === file.sha256) return;
  throw changed(
    file.path,
    now.size === file.size ? 'its footer differs' : `${file.size} bytes then, ${now.size} now`,
  );
}

function changed(name: string, how: string): UserError {
  return new UserError(
    `${sanitize(name, 300)} has changed since it was planned (${sanitize(how, 200)}). Restore the earlier one, or plan the new one ` +
      'as a run of its own (--run_name NAME).',
  );
}

/** What a Parquet file is known by: its size and its footer, which says where everything is and what it holds. */
export async function planFile(path: string): Promise<PlannedFile> {
  try {
    const { size } = statSync(path);
    const descriptor = openInput(path);
    try {
      const trailer = readAt(descriptor, Math.max(0, size - TRAILER_BYTES), TRAILER_BYTES);
      const length = trailer.length < TRAILER_BYTES ? 0 : trailer.readUInt32LE(0);
      const footer = Math.min(size, Math.min(length, LARGEST_FOOTER_BYTES) + TRAILER_BYTES);
      return { path, size, sha256: await digestOfRange(descriptor, size - footer, size) };
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw fileProblem(error, `read ${sanitize(path, 300)}`);
  }
}

async function digestOfRange(descriptor: number, from: number, to: number): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of pieces(descriptor, from, to)) hash.update(piece);
  return hash.digest('hex');
}

async function* pieces(descriptor: number, from: number, to: number): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(PIECE_BYTES, to - from)));
  const pause = cooperativePause();
  for (let offset = from; offset < to;) {
    const piece = readAt(descriptor, offset, Math.min(buffer.length, to - offset), buffer);
    if (piece.length === 0) return;
    yield piece;
    offset += piece.length;
    await pause();
  }
}

/**
 * Copies a range of lines that the plan wrote.
 * @throws UserError where they have changed since
 */
export async function copyPrompts(
  from: string,
  range: { from: number; to: number; sha256: string },
  to: string,
): Promise<void> {
  const descriptor = openForReading(from);
  try {
    await replaceFile(to, async (file) => {
      const hash = createHash('sha256');
      for await (const piece of pieces(descriptor, range.from, range.to)) {
        hash.update(piece);
        file.write(piece);
      }
      if (hash.digest('hex') !== range.sha256)
        throw changed(from, `bytes ${range.from} to ${range.to} differ`);
    });
  } finally {
    closeSync(descriptor);
  }
}

function openForReading(path: string): number {
  try {
    return openInput(path);
  } catch (error) {
    throw fileProblem(error, `read ${path}`);
  }
}
