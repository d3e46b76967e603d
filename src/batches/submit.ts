/**
 * Submits chunks: upload, then create, a few at a time. What is about to be made is in the ledger before the call and
 * its id right after; where an answer to a creation is missing, the account's list tells whether the batch exists.
 */

import { existsSync } from 'node:fs';
import pLimit from 'p-limit';
import { APIError } from 'openai';
import { UserError } from '../errors.js';
import type { RunIdentity } from '../run/identity.js';
import type { Reporter } from '../types.js';
import { inert, plural } from '../text.js';
import { isQueueError, queueLimit, type Batch } from './batch.js';
import {
  callFailed,
  CallFailed,
  Interrupted,
  mayPass,
  pause,
  pauseAfter,
  persist,
  type Waiting,
} from './calls.js';
import { checkChunk } from './chunks.js';
import type { BatchClient } from './client.js';
import type { Chunk, Ledger } from './ledger.js';
import { batchMetadata, readOrigin } from './metadata.js';

const AT_ONCE = 4;
/** OpenAI's limit (its guide on batches). */
const CREATES_AN_HOUR = 2000;
const HOUR_MS = 3_600_000;
const CREATE_TRIES = 5;
/** A batch may take so long to appear in the account's list. */
const SETTLE_MS = 5000;
const SETTLE_POLL_MS = 1000;
/** The newest batches come first, so one that was made just now is on the first pages. */
const PAGES_LOOKED_AT = 10;
/** The longest that the API keeps a file which expires: a watcher may come back after a holiday. */
const FILES_EXPIRE_AFTER_S = 30 * 86_400;

export interface SubmitParts {
  ledger: Ledger;
  client: BatchClient;
  identity: RunIdentity;
  waiting: Waiting;
  reporter: Reporter;
  /** False where a chunk's worst case does not fit under `--max_cost`. */
  affordable: (chunk: Chunk) => boolean;
}

/** How a submission went. */
export interface Submitted {
  /** Chunks that are not submitted because something went wrong with them. */
  failed: { chunk: Chunk; reason: CallFailed | UserError }[];
  /** Chunks that `--max_cost` kept back. */
  unaffordable: Chunk[];
  interrupted: boolean;
}

/**
 * Submits chunks, in their order and a few at a time. A failure of one leaves the others alone, unless it would be
 * theirs as well (a wrong key).
 */
export async function submitChunks(chunks: readonly Chunk[], parts: SubmitParts): Promise<Submitted> {
  const submitted: Submitted = { failed: [], unaffordable: [], interrupted: false };
  const limit = pLimit(AT_ONCE);
  let stopped = false;
  let queueIsFull = false;
  const one = async (chunk: Chunk): Promise<void> => {
    if (stopped || parts.waiting.signal.aborted) return;
    if (queueIsFull && chunk.state !== 'creating') {
      await wait(chunk, null, parts.ledger);
      return;
    }
    if (chunk.state !== 'creating' && !parts.affordable(chunk)) {
      submitted.unaffordable.push(chunk);
      return;
    }
    try {
      await submit(chunk, parts);
      queueIsFull ||= chunk.state === 'waiting';
    } catch (error) {
      if (error instanceof Interrupted) return;
      if (!(error instanceof CallFailed) && !(error instanceof UserError)) throw error;
      stopped ||= error instanceof CallFailed && ['run', 'transient'].includes(error.verdict.kind);
      submitted.failed.push({ chunk, reason: error });
    }
  };
  await Promise.all(chunks.map((chunk) => limit(one, chunk)));
  submitted.interrupted = parts.waiting.signal.aborted;
  return submitted;
}

/** Puts a chunk off until the queue has room. */
async function wait(chunk: Chunk, reason: string | null, ledger: Ledger): Promise<void> {
  chunk.state = 'waiting';
  chunk.refusedBy = reason ?? chunk.refusedBy;
  chunk.tryAgainAt = null;
  await ledger.save();
}

async function submit(chunk: Chunk, parts: SubmitParts): Promise<void> {
  const { ledger, reporter } = parts;
  if (chunk.state === 'creating' && (await findCreated(chunk, parts))) return;
  const path = ledger.pathOf(chunk);
  if (path === null || !existsSync(path)) throw new UserError(`The file of batch ${chunk.number} is gone.`);
  if (chunk.inputFileId === null) await upload(chunk, path, parts);
  await create(chunk, path, parts);
  if (chunk.batch !== null) {
    reporter.info(
      `Submitted ${chunk.file ?? ''} (${plural(chunk.requests, 'request')}) as ${chunk.batch.id}.`,
    );
  }
}

async function upload(
  chunk: Chunk,
  path: string,
  { ledger, client, identity, waiting }: SubmitParts,
): Promise<void> {
  await checkChunk(path, chunk);
  // The name tells an account's owner where a file comes from.
  const name = `reannotate-${identity.uuid}-${chunk.number}.jsonl`;
  chunk.inputFileId = await persist(() => client.upload(path, name, FILES_EXPIRE_AFTER_S), waiting);
  chunk.state = 'uploaded';
  await ledger.save();
}

async function create(chunk: Chunk, path: string, parts: SubmitParts): Promise<void> {
  const { ledger, client, identity, waiting } = parts;
  let hasUploadedAgain = false;
  for (let tries = 1; ; tries++) {
    await pace(parts);
    chunk.state = 'creating';
    chunk.attempt += 1;
    chunk.creatingAt = Date.now();
    await ledger.save();
    let failure: CallFailed;
    try {
      const metadata = batchMetadata(identity, chunk.number, chunk.attempt);
      const inputFileId = chunk.inputFileId ?? '';
      await record(
        chunk,
        await client.create({ inputFileId, metadata, outputExpiresAfter: FILES_EXPIRE_AFTER_S }),
        ledger,
      );
      return;
    } catch (error) {
      if (waiting.signal.aborted) throw new Interrupted();
      failure = callFailed(error);
      if (failure.verdict.kind === 'transient') {
        // Whether the batch was made is not known; it is never made a second time without looking.
        if (await findCreated(chunk, parts)) return;
      } else {
        chunk.state = 'uploaded';
        await ledger.save();
        const refusal = queueRefusal(error);
        if (refusal !== null) {
          ledger.queueLimit = queueLimit(refusal) ?? ledger.queueLimit;
          await wait(chunk, refusal, ledger);
          return;
        }
        if (isFileGone(failure) && !hasUploadedAgain) {
          hasUploadedAgain = true;
          await upload(chunk, path, parts);
          continue;
        }
      }
    }
    if (tries >= CREATE_TRIES || !mayPass(failure)) throw failure;
    await pause(pauseAfter(failure, tries, waiting.random), waiting);
  }
}

async function record(chunk: Chunk, batch: Batch, ledger: Ledger): Promise<void> {
  chunk.batch = batch;
  chunk.state = 'submitted';
  chunk.refusedBy = null;
  chunk.tryAgainAt = null;
  await ledger.save();
}

function queueRefusal(error: unknown): string | null {
  if (!(error instanceof APIError)) return null;
  const code = typeof error.code === 'string' ? error.code : '';
  return isQueueError(code, error.message) ? inert(error.message, 400) : null;
}

/** The API deletes uploaded files after a while. */
function isFileGone({ status, verdict }: CallFailed): boolean {
  return (
    (status === 400 || status === 404) &&
    /no such file|file .*(?:not found|does not exist|expired)/i.test(verdict.message)
  );
}

/** Keeps within the number of batches that may be made in an hour, over all processes that worked on this run. */
async function pace({ ledger, waiting }: SubmitParts): Promise<void> {
  for (;;) {
    const recent = ledger.chunks
      .map(({ creatingAt }) => creatingAt ?? 0)
      .filter((time) => time > Date.now() - HOUR_MS)
      .sort((a, b) => a - b);
    const oldest = recent[recent.length - CREATES_AN_HOUR];
    if (oldest === undefined) return;
    // A time in the future was noted before the clock was set back.
    await pause(Math.min(HOUR_MS, oldest + HOUR_MS - Date.now()), waiting);
  }
}

/**
 * Finds out whether a batch exists whose creation was not answered, and makes none.
 * @throws UserError where nobody can know
 */
export async function resolveCreation(chunk: Chunk, parts: SubmitParts): Promise<void> {
  if (await findCreated(chunk, parts)) return;
  // It was on its way out of the queue, and goes back there.
  if (chunk.refusedBy !== null) await wait(chunk, chunk.refusedBy, parts.ledger);
}

/**
 * Looks for a batch that was made without our hearing of it.
 * @returns whether it was found and recorded
 * @throws UserError where the API can't list batches, so that nobody knows
 */
async function findCreated(chunk: Chunk, parts: SubmitParts): Promise<boolean> {
  const { ledger, waiting, reporter } = parts;
  const known = new Set(ledger.batches.map(({ id }) => id));
  // Counted from now and not by the wall clock, which may have been set since: a look too early would pay twice.
  const settled = waiting.clock.now() + SETTLE_MS;
  for (;;) {
    const isLast = waiting.clock.now() >= settled;
    const batch = await findInAccount(chunk, known, parts);
    if (batch !== null) {
      reporter.info(`Found ${batch.id}, which was made of ${chunk.file ?? ''} although no answer came.`);
      await record(chunk, batch, ledger);
      return true;
    }
    if (isLast) break;
    await pause(Math.min(SETTLE_POLL_MS, settled - waiting.clock.now()), waiting);
  }
  chunk.state = chunk.inputFileId === null ? 'planned' : 'uploaded';
  await ledger.save();
  return false;
}

async function findInAccount(
  chunk: Chunk,
  known: ReadonlySet<string>,
  { client, identity, waiting }: SubmitParts,
): Promise<Batch | null> {
  try {
    for await (const batch of accountBatches(client, waiting, PAGES_LOOKED_AT)) {
      const origin = readOrigin(batch.metadata);
      const isOurs =
        batch.inputFileId === chunk.inputFileId ||
        (origin?.run === identity.uuid && origin.chunk === chunk.number && origin.attempt === chunk.attempt);
      if (isOurs && !known.has(batch.id)) return batch;
    }
  } catch (error) {
    if (!(error instanceof CallFailed) || ![404, 405, 501].includes(error.status ?? 0)) throw error;
    throw new UserError(
      `No answer came when the batch of ${chunk.file ?? ''} was made, and this server does not list batches, so it ` +
        'may or may not exist. Look at the server’s own list; if it is there, watch it with --batch_ids.',
    );
  }
  return null;
}

/** The account's batches, newest first, a page at a time. */
export async function* accountBatches(
  client: BatchClient,
  waiting: Waiting,
  maximumPages = Infinity,
): AsyncGenerator<Batch> {
  let after: string | null = null;
  let pages = 0;
  do {
    const from: string | null = after;
    const page: Awaited<ReturnType<BatchClient['list']>> = await persist(() => client.list(from), waiting);
    yield* page.batches;
    after = page.next;
    pages += 1;
  } while (after !== null && pages < maximumPages);
}
