/**
 * Watches a run's batches until nothing more will happen to them: polls, collects what has ended, and submits what
 * waited for room in the queue. A network that fails is waited for, however long.
 */

import type { Clock } from '../requests/clock.js';
import type { RunFolder } from '../run/folder.js';
import { duration, inert } from '../text.js';
import type { Reporter } from '../types.js';
import { hasEnded, isQueueRefusal, queueLimit, type Batch } from './batch.js';
import { callFailed, CallFailed, Interrupted, mayPass, pause, type Waiting } from './calls.js';
import { halve } from './chunks.js';
import type { BatchOutcome } from './collect.js';
import type { Chunk, Ledger } from './ledger.js';
import { nextFromQueue, refused, roomWasMade } from './queue.js';
import type { BatchReader } from './reader.js';
import type { Submitted } from './submit.js';

/** The longest pause while the API can't be reached. */
const LONGEST_PAUSE_MS = 10 * 60_000;
/** Polls after which a batch that completed without a file is taken to have none. */
const POLLS_FOR_FILES = 3;
/** An outage is told of again after so long. */
const TELL_AGAIN_MS = 15 * 60_000;

export interface WatchParts {
  folder: RunFolder;
  ledger: Ledger;
  reader: BatchReader;
  waiting: Waiting;
  reporter: Reporter;
  /** Milliseconds between two polls. */
  checkInterval: number;
  collect: (chunk: Chunk, batch: Batch) => Promise<BatchOutcome>;
  submit: (chunks: readonly Chunk[]) => Promise<Submitted>;
  /** Finds out whether a batch exists whose creation was not answered. */
  resolve: (chunk: Chunk) => Promise<void>;
  /** False once nothing is to be submitted any more. */
  mayResubmit: boolean;
  /** Called after each poll. */
  onPoll: () => void;
}

/** What came of the batches that ended meanwhile. */
export interface Watched {
  interrupted: boolean;
  answers: number;
  /** Rows whose own line made a whole batch fail. */
  invalidRows: number[];
}

/**
 * Watches until every batch has ended and is collected, or until the signal aborts.
 * @throws CallFailed where the API refuses (a wrong key)
 */
export async function watch(parts: WatchParts): Promise<Watched> {
  const { ledger, waiting, checkInterval } = parts;
  const watched: Watched = { interrupted: false, answers: 0, invalidRows: [] };
  const outage = new Outage(parts);
  try {
    for (;;) {
      const isReached = await outage.survive(async () => {
        await resolveUnanswered(parts);
        await poll(parts);
        await collectEnded(parts, watched);
      });
      if (isReached) await submitWaiting(parts);
      parts.onPoll();
      if (!ledger.chunks.some(goesOn)) return watched;
      await pause(isReached ? untilNext(ledger, checkInterval) : outage.pause, waiting);
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    return { ...watched, interrupted: true };
  }
}

function goesOn({ state }: Chunk): boolean {
  return state === 'submitted' || state === 'waiting' || state === 'creating';
}

async function resolveUnanswered({ ledger, resolve }: WatchParts): Promise<void> {
  for (const chunk of ledger.unanswered) await resolve(chunk);
}

/** Milliseconds to the next poll: sooner where a chunk's turn comes before. */
function untilNext(ledger: Ledger, checkInterval: number): number {
  const turns = ledger.chunks.flatMap(({ state, tryAgainAt }) =>
    state === 'waiting' && tryAgainAt !== null ? [tryAgainAt - Date.now()] : [],
  );
  return Math.max(0, Math.min(checkInterval, ...turns));
}

async function poll({ ledger, reader, reporter }: WatchParts): Promise<void> {
  const open = ledger.open.filter(({ batch }) => batch !== null && !isReady(batch));
  if (open.length === 0) return;
  const { found, missing } = await reader.read(
    open.flatMap(({ batch }) => (batch === null ? [] : [batch.id])),
  );
  for (const chunk of open) {
    const id = chunk.batch?.id ?? '';
    const batch = found.get(id);
    if (batch !== undefined) {
      chunk.batch = batch;
      if (hasEnded(batch)) chunk.endedPolls += 1;
    } else if (missing.has(id)) {
      reporter.warning(
        `${id} is gone from the account (${inert(missing.get(id)?.message ?? '', 200)}); its rows stay pending.`,
      );
      chunk.state = 'collected';
    }
  }
  await ledger.save();
}

/** True where an ended batch names its files. Some say `completed` a moment before they do. */
function isReady(batch: Batch): boolean {
  return (
    hasEnded(batch) &&
    (batch.status !== 'completed' || batch.outputFileId !== null || batch.errorFileId !== null)
  );
}

async function collectEnded(parts: WatchParts, watched: Watched): Promise<void> {
  const { ledger } = parts;
  for (const chunk of ledger.open) {
    const { batch } = chunk;
    if (batch === null || !hasEnded(batch)) continue;
    if (!isReady(batch) && chunk.endedPolls < POLLS_FOR_FILES) continue;
    if (isQueueRefusal(batch) && parts.mayResubmit && !chunk.isAdopted) {
      await putBack(chunk, batch, parts);
      continue;
    }
    const outcome = await parts.collect(chunk, batch);
    watched.answers += outcome.answers;
    watched.invalidRows.push(...outcome.invalidRows);
    roomWasMade(ledger.chunks, Date.now());
  }
}

/** The queue was full when a batch was validated: its chunk waits, or is halved where it can't fit. */
async function putBack(chunk: Chunk, batch: Batch, parts: WatchParts): Promise<void> {
  const messages = batch.errors.map(({ message }) => message);
  const reason = messages.find((message) => message !== '') ?? 'the queue is full';
  chunk.refusedBy = inert(reason, 400);
  if (await isHalved(chunk, parts)) return;
  parts.ledger.superseded.push(batch);
  chunk.batch = null;
  parts.reporter.info(`${batch.id} did not fit into the queue; ${chunk.file ?? ''} waits for room.`);
  await parts.ledger.save();
}

/** Deals with a refusal by the queue; false where the chunk simply waits for room. */
async function isHalved(
  chunk: Chunk,
  { ledger, folder, reporter, checkInterval }: WatchParts,
): Promise<boolean> {
  const reason = chunk.refusedBy ?? '';
  ledger.queueLimit = queueLimit(reason) ?? ledger.queueLimit;
  if (!refused(chunk, ledger.chunks, ledger.queueLimit, Date.now(), checkInterval)) return false;
  if (await halve(folder, ledger, chunk)) {
    reporter.info(
      `${chunk.file ?? ''} is larger than the queue takes (${inert(reason, 200)}); it is submitted in two halves.`,
    );
    return true;
  }
  // Nothing smaller can be made of it; what happens with its row is for the user to decide.
  reporter.warning(
    `The one request of ${chunk.file ?? ''} is larger than the queue takes (${inert(reason, 200)}).`,
  );
  chunk.state = 'collected';
  await ledger.save();
  return true;
}

async function submitWaiting(parts: WatchParts): Promise<void> {
  const { ledger, reporter } = parts;
  const next = parts.mayResubmit ? nextFromQueue(ledger.chunks, ledger.queueLimit, Date.now()) : [];
  if (next.length === 0) return;
  const { failed } = await parts.submit(next);
  // Some servers tell of a full queue at once.
  const again = next.filter(({ state, tryAgainAt }) => state === 'waiting' && tryAgainAt === null);
  for (const chunk of again) await isHalved(chunk, parts);
  for (const { chunk, reason } of failed) {
    if (reason instanceof CallFailed && !mayPass(reason)) throw reason;
    if (!(reason instanceof CallFailed)) throw reason;
    reporter.warning(
      `${chunk.file ?? ''} could not be submitted (${inert(reason.message, 200)}); trying again later.`,
    );
    if (chunk.state !== 'creating') chunk.state = 'waiting';
    chunk.tryAgainAt = Date.now() + Math.max(parts.checkInterval, 1000);
  }
  await ledger.save();
}

/** A time in which the API can't be reached. */
class Outage {
  #failures = 0;
  #since = 0;
  #told = 0;
  readonly #clock: Clock;

  constructor(private readonly parts: WatchParts) {
    this.#clock = parts.waiting.clock;
  }

  /** Milliseconds to wait before the next try. */
  get pause(): number {
    const ceiling = Math.min(LONGEST_PAUSE_MS, this.parts.checkInterval * 2 ** Math.min(this.#failures, 10));
    return ceiling * (0.5 + this.parts.waiting.random() / 2);
  }

  /** Does something that needs the API; false where it can't be reached just now. */
  async survive(work: () => Promise<void>): Promise<boolean> {
    const { reporter, waiting } = this.parts;
    try {
      await work();
    } catch (error) {
      if (waiting.signal.aborted) throw new Interrupted();
      const failure = failureOf(error);
      if (!mayPass(failure)) throw failure;
      this.#failures += 1;
      const now = this.#clock.now();
      if (this.#failures === 1) this.#since = now;
      if (this.#failures === 1 || now - this.#told > TELL_AGAIN_MS) {
        this.#told = now;
        reporter.warning(
          `The API can't be reached (${inert(failure.message, 200)}); the batches go on without it. Trying again.`,
        );
      }
      return false;
    }
    if (this.#failures > 0) {
      reporter.info(`The API is back after ${duration(this.#clock.now() - this.#since)}.`);
      this.#failures = 0;
    }
    return true;
  }
}

/** Anything but a failed call is not the network's fault and goes up. */
function failureOf(error: unknown): CallFailed {
  if (error instanceof CallFailed) return error;
  if (error instanceof Error && error.constructor.name.startsWith('API')) return callFailed(error);
  throw error;
}
