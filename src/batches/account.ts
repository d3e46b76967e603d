/**
 * What the account says about batches that this folder does not know: a walk through its list, and how far the list
 * can be believed. That something is not in it proves nothing where the list is cut short, repeats itself, has entries
 * that cannot be read, or belongs to another project.
 */

import { closeSync, existsSync } from 'node:fs';
import { openFile, readAt } from '../lib/files.js';
import { plural } from '../lib/text.js';
import type { Batch } from './batch.js';
import { callFailed, CallFailed, Interrupted, mayPass, persist, type Waiting } from './calls.js';
import type { Chunk } from './chunk.js';
import type { BatchClient, BatchPage, UnreadableEntry } from './client.js';
import type { Ledger } from './ledger.js';

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
}

/**
 * Walks through the account's batches, newest first.
 * @param floor seconds since 1970 by the server's clock: older batches are of no interest. Null for all of them
 * @param visit called for each batch; true ends the walk
 * @throws CallFailed where the server does not list batches or cannot be reached
 */
export async function walkAccount(
  client: BatchClient,
  waiting: Waiting,
  floor: number | null,
  visit: (batch: Batch) => boolean | undefined,
): Promise<Walk> {
  const order = new ListOrder(floor);
  const seen = new Set<string>();
  /** Where pages began. */
  const asked = new Set<string>();
  let unreadable = 0;
  let after: string | null = null;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const from: string | null = after;
    const page: BatchPage = await persist(() => client.list(from), waiting);
    const read = await readEntries(client, waiting, page.unreadable);
    unreadable += read.unreadable;
    const fresh = [...page.batches, ...read.batches].filter(({ id }) => !seen.has(id));
    for (const batch of fresh) {
      seen.add(batch.id);
      if (visit(batch) === true) return { doubt: null, seen: seen.size };
    }
    const isEnd = !page.hasMore || order.isBelowFloor(page.batches);
    if (isEnd) return { doubt: unreadable > 0 ? describeUnreadable(unreadable) : null, seen: seen.size };
    if (page.next === null) return { doubt: 'the account’s list of batches breaks off', seen: seen.size };
    // A page with nothing but other tools' entries brings nothing new either, but its successor has another address.
    const isRepeated = page.batches.length > 0 || asked.has(page.next);
    if (fresh.length === 0 && isRepeated) {
      return { doubt: 'the account’s list of batches repeats itself', seen: seen.size };
    }
    asked.add(page.next);
    after = page.next;
  }
  return { doubt: 'the account’s list of batches does not end', seen: seen.size };
}

function describeUnreadable(entries: number): string {
  return `${plural(entries, 'entry', 'entries')} of the account’s list of batches cannot be read`;
}

/** Entries that the list spoils may be readable one by one. */
async function readEntries(
  client: BatchClient,
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
  client: BatchClient,
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
    if (!failure.isAccepted && (mayPass(failure) || failure.status === 401)) throw failure;
  }
  return hasContent(client, waiting, inputFileId, ledger.pathOf(chunk));
}

/** Gateways that keep no record of a file may still have it: its first bytes are compared with ours. */
async function hasContent(
  client: BatchClient,
  waiting: Waiting,
  fileId: string,
  path: string | null,
): Promise<boolean> {
  if (path === null) return false;
  try {
    const { bytes, offset } = await client.download(fileId, 0);
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
