/**
 * Submits chunks: upload, then create, a few at a time. What is about to be made is in the ledger before the call and
 * its id right after; if the answer to a creation is missing, the account's list shows whether the batch exists.
 */

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import pLimit from 'p-limit';
import { EXIT, UserError } from '../lib/errors.js';
import { requireLock } from '../lib/fence.js';
import type { RunIdentity } from '../run/identity.js';
import type { Reporter } from '../types.js';
import { sanitize, plural } from '../lib/text.js';
import { queueLimit, type Batch } from './batch.js';
import {
  callFailed,
  CallFailed,
  Interrupted,
  isTransient,
  pause,
  pauseAfter,
  withRetry,
  type Waiting,
} from './calls.js';
import { checkChunk } from './chunks.js';
import type { BatchApi, Submission } from './apis/batch-api.js';
import { listsNothing, ownsInput, walkAccount } from './account.js';
import type { Chunk } from './chunk.js';
import type { Ledger } from './ledger.js';
import { nextFromQueue, type SharedQueue } from './queue.js';
import { urlOfFile } from './request-line.js';
import { describeUndecided } from './adopt.js';
import { batchMetadata, isCreation, readOrigin } from './metadata.js';

const AT_ONCE = 4;
/** OpenAI's limit (its guide on batches). */
const CREATES_AN_HOUR = 2000;
const HOUR_MS = 3_600_000;
const CREATE_TRIES = 5;
/** A batch may take so long to appear in the account's list. */
const SETTLE_MS = 5000;
const SETTLE_POLL_MS = 1000;
/** How long a list that proves nothing is asked for again. */
const DOUBT_MS = 20_000;
/** The most seconds by which the clocks of a server's files and batches may differ. */
const CLOCK_MARGIN_S = 600;
/** The longest that the API keeps a file which expires: a watcher may come back after a holiday. */
const FILES_EXPIRE_AFTER_S = 30 * 86_400;

export interface SubmitParts {
  ledger: Ledger;
  client: BatchApi;
  identity: RunIdentity;
  waiting: Waiting;
  reporter: Reporter;
  /** True for a chunk of which the user said that no batch exists. */
  isGivenUp: (chunk: Chunk) => boolean;
  /** The command that says so, without the file's name. */
  giveUpCommand: string;
  /** The command that collects a batch by its id, where there is one. */
  collectCommand?: string;
  /** False where a chunk's worst case does not fit under `--max_cost`. */
  affordable: (chunk: Chunk) => boolean;
  /** What other workers of a planned run have in the account's queue; absent for a run that is alone in it. */
  queue?: SharedQueue;
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
  const { queue } = parts;
  if (queue === undefined) return submitAll(chunks, parts);
  const fitting = await reserveRoom(chunks, queue, parts.ledger);
  try {
    return await submitAll(fitting, parts);
  } finally {
    queue.release();
  }
}

/** Where other workers fill the queue as well, and its limit is known: what does not fit waits, and is not even uploaded. */
async function reserveRoom(chunks: readonly Chunk[], queue: SharedQueue, ledger: Ledger): Promise<Chunk[]> {
  ledger.noteQueueLimit(queue.limit);
  const { queueLimit: limit } = ledger;
  // A batch that may exist already is looked up first, and takes no more room than it has.
  const asked = chunks.filter(({ state }) => state !== 'creating');
  if (limit !== null)
    for (const chunk of asked)
      ledger.change(chunk, { kind: 'waits', reason: null, tryAgainAt: chunk.tryAgainAt });
  const turn = limit === null ? asked : nextFromQueue(ledger.chunks, limit, Date.now(), queue.tokens);
  const fitting = asked.filter((chunk) => turn.includes(chunk));
  const mayGo = queue.reserve(fitting) ? fitting : [];
  await ledger.save();
  return chunks.filter((chunk) => chunk.state === 'creating' || mayGo.includes(chunk));
}

async function submitAll(chunks: readonly Chunk[], parts: SubmitParts): Promise<Submitted> {
  const submitted: Submitted = { failed: [], unaffordable: [], interrupted: false };
  const limit = pLimit(AT_ONCE);
  let stopped = false;
  let queueIsFull = false;
  const one = async (chunk: Chunk): Promise<void> => {
    if (stopped || parts.waiting.signal.aborted) return;
    if (queueIsFull && chunk.state !== 'creating') {
      await parts.ledger.apply(chunk, { kind: 'waits', reason: null, tryAgainAt: null });
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

async function submit(chunk: Chunk, parts: SubmitParts): Promise<void> {
  const { ledger, reporter } = parts;
  if (chunk.state === 'creating' && (await findCreated(chunk, parts))) return;
  const path = ledger.pathOf(chunk);
  if (path === null || !existsSync(path))
    throw new UserError(`The file of batch ${chunk.number} is missing.`);
  if (chunk.inputFileId === null) await upload(chunk, path, parts);
  await create(chunk, path, parts);
  if (chunk.batch !== null) {
    reporter.info(
      `Submitted ${chunk.file ?? ''} (${plural(chunk.requests, 'request')}) as ${sanitize(chunk.batch.id, 80)}.`,
    );
  }
}

async function upload(chunk: Chunk, path: string, parts: SubmitParts): Promise<void> {
  const { ledger, client, waiting } = parts;
  await checkChunk(path, chunk);
  const submission = submissionOf(chunk, path, null, parts);
  const { id, createdAt } = await withRetry(() => client.upload(submission), waiting);
  await ledger.apply(chunk, { kind: 'uploaded', fileId: id, at: createdAt });
}

/** @param creation null for an upload: which creation it is for is not known yet */
function submissionOf(
  chunk: Chunk,
  path: string,
  creation: string | null,
  { identity, reporter }: Pick<SubmitParts, 'identity' | 'reporter'>,
): Submission {
  return {
    path,
    url: urlOfFile(path),
    // The name shows an account's owner where a file comes from.
    name: `reannotate-${identity.uuid}-${chunk.number}.jsonl`,
    metadata: batchMetadata(identity, { chunk: chunk.number, attempt: chunk.attempt, creation }),
    keepFor: FILES_EXPIRE_AFTER_S,
    warn: (text) => {
      reporter.warning(text);
    },
  };
}

async function create(chunk: Chunk, path: string, parts: SubmitParts): Promise<void> {
  const { ledger, waiting } = parts;
  let hasUploadedAgain = false;
  for (let tries = 1; ; tries++) {
    await pace(parts);
    const failure = await createOnce(chunk, path, parts);
    if (failure === null) return;
    const refusal = parts.client.queueRefusal(failure.cause);
    if (refusal !== null) {
      ledger.noteQueueLimit(queueLimit(refusal));
      await ledger.apply(chunk, { kind: 'waits', reason: refusal, tryAgainAt: null });
      return;
    }
    if (isFileGone(failure) && !hasUploadedAgain) {
      hasUploadedAgain = true;
      await upload(chunk, path, parts);
      continue;
    }
    if (tries >= CREATE_TRIES || !isTransient(failure)) throw failure;
    await pause(pauseAfter(failure, tries, waiting.random), waiting);
  }
}

/**
 * Makes a batch of a chunk's file.
 * @returns why none was made; null where it is recorded
 * @throws CreationInDoubt where nobody can know
 */
async function createOnce(chunk: Chunk, path: string, parts: SubmitParts): Promise<CallFailed | null> {
  const { ledger, client, waiting } = parts;
  const creation = randomUUID();
  await ledger.apply(chunk, { kind: 'creating', creation, at: Date.now() });
  const submission = submissionOf(chunk, path, creation, parts);
  // A process that was frozen since it wrote that down may find that another has taken over.
  requireLock();
  try {
    const batch = await client.create(chunk.inputFileId ?? '', submission);
    await ledger.apply(chunk, { kind: 'created', batch });
    return null;
  } catch (error) {
    const failure = callFailed(error);
    if (failure.isAccepted) await ledger.apply(chunk, { kind: 'accepted' });
    if (waiting.signal.aborted) throw new Interrupted();
    // Whether the batch was made is not known; it is never made a second time without looking.
    if (failure.verdict.kind === 'transient') return (await findCreated(chunk, parts)) ? null : failure;
    await ledger.apply(chunk, { kind: 'not_created' });
    return failure;
  }
}

/** The API deletes uploaded files after a while. */
function isFileGone({ status, verdict }: CallFailed): boolean {
  if (status !== 400 && status !== 404) return false;
  const message = verdict.message.toLowerCase();
  if (message.includes('no such file')) return true;
  const file = message.indexOf('file ');
  return file !== -1 && /not found|does not exist|expired/.test(message.slice(file));
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

/** Whether a batch was made is not known, so none is made. */
export class CreationInDoubt extends UserError {
  override readonly name = 'CreationInDoubt';

  /** @param willBeKnown true where it will be known once a batch of the account has ended */
  constructor(
    message: string,
    exitCode: number,
    readonly willBeKnown: boolean,
  ) {
    super(message, exitCode);
  }
}

/**
 * Finds out whether a batch exists whose creation was not answered, and makes none.
 * @throws CreationInDoubt where nobody can know
 */
export async function resolveCreation(chunk: Chunk, parts: SubmitParts): Promise<void> {
  if (await findCreated(chunk, parts)) return;
  // It was on its way out of the queue, and goes back there.
  if (chunk.refusedBy !== null && chunk.state !== 'given_up') {
    await parts.ledger.apply(chunk, { kind: 'waits', reason: null, tryAgainAt: null });
  }
}

/**
 * Looks for a batch whose creation was not answered, or with something that cannot be read.
 * @returns whether it was found and recorded, or given up; otherwise it certainly does not exist
 * @throws CreationInDoubt where the list does not prove that it does not exist
 */
async function findCreated(chunk: Chunk, parts: SubmitParts): Promise<boolean> {
  const { ledger, waiting, reporter } = parts;
  if (parts.isGivenUp(chunk)) {
    await ledger.apply(chunk, { kind: 'given_up' });
    reporter.warning(`${chunk.file ?? ''} is given up: whether it became a batch remains unknown.`);
    return true;
  }
  // Counted from now and not by the wall clock, which may have been set since: a look too early would pay twice.
  const settled = waiting.clock.now() + SETTLE_MS;
  for (;;) {
    const isSettled = waiting.clock.now() >= settled;
    const search = await searchCreation(chunk, parts);
    if (search.batch !== null) {
      reporter.info(
        `Found ${sanitize(search.batch.id, 80)}, which was created from ${chunk.file ?? ''} although its creation was not confirmed.`,
      );
      await ledger.apply(chunk, { kind: 'created', batch: search.batch });
      return true;
    }
    if (isSettled && search.doubt === null) break;
    // A search that took long began before the account had settled: where it found no doubt, another one decides.
    if (search.doubt !== null && waiting.clock.now() >= settled + DOUBT_MS)
      throw inDoubt(chunk, search, parts);
    await pause(SETTLE_POLL_MS, waiting);
  }
  await ledger.apply(chunk, { kind: 'not_created' });
  return false;
}

/** What the account says about a creation: the batch, or why its absence proves nothing (null where it does). */
interface Search {
  batch: Batch | null;
  doubt: string | null;
  /** False where asking again later cannot help. */
  isTransient: boolean;
  /** True where a batch that still runs may be it. */
  hasCandidates?: boolean;
}

async function searchCreation(chunk: Chunk, parts: SubmitParts): Promise<Search> {
  const { client, identity, waiting, ledger } = parts;
  const known = new Set(ledger.batches.map(({ id }) => id));
  const floor = chunk.uploadedAt === null ? null : chunk.uploadedAt - CLOCK_MARGIN_S;
  const seen: { batch: Batch | null; isOurAccount: boolean } = { batch: null, isOurAccount: false };
  const visit = (batch: Batch): boolean => {
    seen.isOurAccount ||= known.has(batch.id);
    if (known.has(batch.id) || !isMadeOf(batch, chunk, identity)) return false;
    seen.batch = batch;
    return true;
  };
  const isKnown = ({ id }: Batch): boolean => known.has(id);
  try {
    const walk = await walkAccount(client, waiting, { floor, visit, isKnown });
    if (seen.batch !== null) return { batch: seen.batch, doubt: null, isTransient: true };
    // One with another number of requests is another one; 0 is no number.
    const candidates = walk.undecided.filter(({ counts }) => [0, chunk.requests].includes(counts.total));
    const doubt = walk.doubt ?? describeUndecided(candidates);
    if (doubt !== null) {
      return { batch: null, doubt, isTransient: true, hasCandidates: candidates.length > 0 };
    }
    if (chunk.isAccepted) {
      return { batch: null, doubt: 'the account’s list does not show it yet', isTransient: true };
    }
    const isOurs = seen.isOurAccount || (await ownsInput(client, waiting, chunk, ledger));
    const stranger = 'this key does not see its input file';
    return { batch: null, doubt: isOurs ? null : stranger, isTransient: false };
  } catch (error) {
    if (error instanceof CallFailed && error.isAccepted) {
      return { batch: null, doubt: error.message, isTransient: true };
    }
    if (!listsNothing(error)) throw error;
    return { batch: null, doubt: 'this server does not list batches', isTransient: false };
  }
}

/** True for the batch that a creation without an answer made. */
function isMadeOf(batch: Batch, chunk: Chunk, identity: RunIdentity): boolean {
  const origin = readOrigin(batch.metadata);
  // Whichever attempt made it, its rows are those of this file.
  if (batch.inputFileId !== null && batch.inputFileId === chunk.inputFileId) return true;
  // Another machine on this run may use the same numbers.
  const creation = origin?.creation ?? null;
  if (creation !== null && chunk.creation !== null) return isCreation(creation, chunk.creation);
  return origin?.run === identity.uuid && origin.chunk === chunk.number && origin.attempt === chunk.attempt;
}

function inDoubt(
  chunk: Chunk,
  search: Search,
  { giveUpCommand, collectCommand }: Pick<SubmitParts, 'giveUpCommand' | 'collectCommand'>,
): CreationInDoubt {
  const { doubt, isTransient: isTemporary, hasCandidates = false } = search;
  const file = chunk.file ?? `chunk ${chunk.number}`;
  const said = chunk.isAccepted
    ? 'the server accepted the creation with an unreadable response'
    : 'there was no response to the creation';
  const collect =
    collectCommand === undefined
      ? ''
      : ` If the account shows the batch, collect it with: ${collectCommand} ID.`;
  return new CreationInDoubt(
    `A batch of ${file} may exist: ${said}, and ${sanitize(doubt ?? '', 200)}. ` +
      `No second one was created. Run the same command again later, with the key of the same project.${collect} If it ` +
      `certainly does not exist: ${giveUpCommand} ${file}`,
    isTemporary ? EXIT.tryLater : EXIT.cannotGoOn,
    hasCandidates,
  );
}
