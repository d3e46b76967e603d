/**
 * What the account says about batches that this folder does not know: a walk through its list, and how far the list
 * can be believed. That something is not in it proves nothing where the list is cut short, repeats itself, has entries
 * that cannot be read, or belongs to another project.
 */

import { ANSWER_BOUNDS } from '../http/answer-bounds.js';
import { closeSync, existsSync } from 'node:fs';
import { openFile, readAt } from '../lib/files.js';
import { plural } from '../lib/text.js';
import type { Batch } from './batch.js';
import {
  callFailed,
  CallFailed,
  withConfirmation,
  Interrupted,
  isTransient,
  withRetry,
  type Waiting,
} from './calls.js';
import type { Chunk } from './chunk.js';
import type { BatchApi, BatchPage, UnreadableEntry, FileBounds } from './apis/batch-api.js';
import type { Ledger } from './ledger.js';
import { readOrigin } from './metadata.js';

/** A server that makes up new entries for every page is not followed for ever. */
const MOST_PAGES = 50_000;
/** Bytes of an input file that show whose it is. */
const SAMPLE_BYTES = 256;

/** How a walk ended. */
export interface Walk {
  /** Null where every batch from the floor on was seen; otherwise why that is not certain. */
  doubt: string | null;
  /** Batches seen. */
  seen: number;
  /** Batches of which nobody can say whose they are as long as they run. */
  undecided: Batch[];
}

/** What a walk looks for. */
export interface Walker {
  /** Seconds since 1970 by the server's clock: older batches are of no interest. Null for all of them. */
  floor: number | null;
  /** True for a batch that need not be identified. */
  isKnown?: (batch: Batch) => boolean;
  /** Called for each batch that says whose it is, or certainly is not ours; true ends the walk. */
  visit: (batch: Batch) => boolean | undefined;
}

/**
 * Walks through the account's batches, newest first.
 * @throws CallFailed where the server does not list batches or cannot be reached
 */
export async function walkAccount(
  client: BatchApi,
  waiting: Waiting,
  { floor, visit, isKnown = () => false }: Walker,
): Promise<Walk> {
  const order = new ListOrder(floor);
  const seen = new Set<string>();
  const undecided: Batch[] = [];
  const ended = (doubt: string | null): Walk => ({ doubt, seen: seen.size, undecided });
  /** Where pages began. */
  const asked = new Set<string>();
  let unreadable = 0;
  let after: string | null = null;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const from: string | null = after;
    const page: BatchPage = await withConfirmation(() => client.list(from), waiting);
    const read = await readEntries(client, waiting, page.unreadable);
    unreadable += read.unreadable;
    const fresh = [...page.batches, ...read.batches].filter(({ id }) => !seen.has(id));
    for (const batch of fresh) {
      seen.add(batch.id);
      const isOfInterest = !isKnown(batch) && !isBelow(batch, floor);
      const identified = isOfInterest ? await identify(batch, client, waiting) : batch;
      if (identified === null) undecided.push(batch);
      else if (visit(identified) === true) return ended(null);
    }
    const isEnd = !page.hasMore || order.isBelowFloor(page.batches);
    if (isEnd) return ended(unreadable > 0 ? describeUnreadable(unreadable) : null);
    if (page.next === null) return ended('the account’s list of batches breaks off');
    // A page with nothing but other tools' entries brings nothing new either, but its successor has another address.
    const isRepeated = page.batches.length > 0 || asked.has(page.next);
    if (fresh.length === 0 && isRepeated) {
      return ended('the account’s list of batches repeats itself');
    }
    asked.add(page.next);
    after = page.next;
  }
  return ended('the account’s list of batches does not end');
}

function isBelow({ createdAt }: Batch, floor: number | null): boolean {
  return floor !== null && createdAt > 0 && createdAt < floor;
}

/**
 * A batch with the metadata that say whose it is, wherever the provider keeps them.
 * @returns null where nothing can be said yet
 */
export async function identify(batch: Batch, client: BatchApi, waiting: Waiting): Promise<Batch | null> {
  if (readOrigin(batch.metadata) !== null) return batch;
  try {
    return await withRetry(() => client.identify(batch), waiting);
  } catch (error) {
    // A missing source of the answer is no answer (yet).
    if (error instanceof CallFailed && (error.isAbsence || error.isAccepted)) return null;
    throw error;
  }
}

function describeUnreadable(entries: number): string {
  return `${plural(entries, 'entry', 'entries')} of the account’s list of batches cannot be read`;
}

/** Entries that the list spoils may be readable one by one. */
async function readEntries(
  client: BatchApi,
  waiting: Waiting,
  entries: readonly UnreadableEntry[],
): Promise<{ batches: Batch[]; unreadable: number }> {
  const batches: Batch[] = [];
  let unreadable = 0;
  for (const { id, isForeign } of entries) {
    if (isForeign) continue;
    try {
      if (id === null) unreadable += 1;
      else batches.push(await client.retrieve(id));
    } catch (error) {
      if (waiting.signal.aborted) throw new Interrupted();
      callFailed(error);
      unreadable += 1;
    }
  }
  return { batches, unreadable };
}

/** Whether a list is sorted, newest first: only then does an old page mean that all later ones are older. */
class ListOrder {
  #last = Infinity;
  #descends = false;
  #isSorted = true;

  constructor(private readonly floor: number | null) {}

  /** True where this page and all that follow are older than the floor. */
  isBelowFloor(page: readonly Batch[]): boolean {
    for (const { createdAt } of page) {
      if (createdAt > this.#last) this.#isSorted = false;
      if (createdAt < this.#last && Number.isFinite(this.#last)) this.#descends = true;
      this.#last = createdAt;
    }
    const { floor } = this;
    if (floor === null || page.length === 0 || !this.#isSorted || !this.#descends) return false;
    return page.every(({ createdAt }) => createdAt > 0 && createdAt < floor);
  }
}

/** True where the server says that it does not list batches at all. */
export function listsNothing(error: unknown): boolean {
  return error instanceof CallFailed && [404, 405, 501].includes(error.status ?? 0);
}

/**
 * Whether this key belongs to the project that a chunk was submitted in: its input file is there.
 * @throws CallFailed where the server cannot be reached
 */
export async function ownsInput(
  client: BatchApi,
  waiting: Waiting,
  chunk: Chunk,
  ledger: Ledger,
): Promise<boolean> {
  const { inputFileId } = chunk;
  if (inputFileId === null) return false;
  try {
    if (await client.hasFile(inputFileId)) return true;
  } catch (error) {
    if (waiting.signal.aborted) throw new Interrupted();
    const failure = callFailed(error);
    if (!failure.isAccepted && (isTransient(failure) || failure.status === 401)) throw failure;
  }
  return hasContent(client, waiting, inputFileId, ledger.pathOf(chunk));
}

/** The rest is not read. */
const FIRST_BYTES: FileBounds = { bytes: Infinity, line: ANSWER_BOUNDS };

/** Gateways that keep no record of a file may still have it: its first bytes are compared with ours. */
async function hasContent(
  client: BatchApi,
  waiting: Waiting,
  fileId: string,
  path: string | null,
): Promise<boolean> {
  if (path === null) return false;
  try {
    const { bytes, offset } = await client.download(fileId, 0, FIRST_BYTES);
    const ours = sample(path);
    let theirs = Buffer.alloc(0);
    for await (const piece of bytes) {
      theirs = Buffer.concat([theirs, piece.subarray(0, SAMPLE_BYTES)]).subarray(0, ours.length);
      if (theirs.length >= ours.length) break;
    }
    return offset === 0 && ours.length > 0 && theirs.equals(ours);
  } catch {
    if (waiting.signal.aborted) throw new Interrupted();
    return false;
  }
}

function sample(path: string): Buffer {
  if (!existsSync(path)) return Buffer.alloc(0);
  const descriptor = openFile(path, 'read');
  try {
    return readAt(descriptor, 0, SAMPLE_BYTES);
  } finally {
    closeSync(descriptor);
  }
}
