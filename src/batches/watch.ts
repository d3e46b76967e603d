/**
 * Watches a run's batches until nothing more can come from them: polls, collects what has ended, and submits
 * what waited for room in the queue. A network that fails is waited for, however long.
 */

import type { RunFolder } from '../run/folder.js';
import { count, duration, sanitize, plural } from '../lib/text.js';
import type { Reporter } from '../types.js';
import { UserError } from '../lib/errors.js';
import { hasEnded, isQueueRefusal, queueLimit, type Batch } from './batch.js';
import { CallFailed, Interrupted, isTransient, pause, type Waiting } from './calls.js';
import { nameOf, type Chunk } from './chunk.js';
import { GONE_AFTER } from './chunk-states.js';
import { halve } from './chunks.js';
import type { BatchOutcome, Look } from './collect.js';
import { isHandRun } from './hand-run.js';
import type { Ledger } from './ledger.js';
import { readOrigin } from './metadata.js';
import { Outage } from './outage.js';
import { nextFromQueue, refused, untilNextTurn, type SharedQueue } from './queue.js';
import type { BatchReader } from './reader.js';
import { CreationInDoubt, type Submitted } from './submit.js';

/** Other batches of the run that are looked up to learn whose account this is. */
const OTHERS_ASKED = 3;

export interface WatchParts {
  folder: RunFolder;
  ledger: Ledger;
  reader: BatchReader;
  waiting: Waiting;
  reporter: Reporter;
  /** Milliseconds between two polls. */
  checkInterval: number;
  /** Collects what there is of an ended batch. */
  collect: (chunk: Chunk, batch: Batch, look: Look) => Promise<BatchOutcome>;
  submit: (chunks: readonly Chunk[]) => Promise<Submitted>;
  /** Finds out whether a batch exists whose creation was not answered. */
  resolve: (chunk: Chunk) => Promise<void>;
  /** True where this key sees the input file of a chunk. */
  ownsInput: (chunk: Chunk) => Promise<boolean>;
  /** True where no row of a chunk lacks an answer. */
  isAnswered: (chunk: Chunk) => Promise<boolean>;
  /** True for a batch that the user gave up. */
  isGivenUp: (chunk: Chunk) => boolean;
  /** False once submission has stopped. */
  mayResubmit: boolean;
  /** Called after each poll. */
  onPoll: () => void;
  /** What other workers of a planned run have in the account's queue; absent for a run that is alone in it. */
  queue?: SharedQueue;
}

/** What came of the batches that ended meanwhile. */
export interface Watched {
  interrupted: boolean;
  answers: number;
  /** Rows whose own line made a whole batch fail. */
  invalidRows: number[];
  /** True where this key has seen one of the run's batches. */
  isOurAccount: boolean;
  /** Why it is not known whether a batch exists; null where every creation is settled. */
  inDoubt: CreationInDoubt | null;
}

/**
 * Watches until nothing more can come from any batch, or until the signal aborts.
 * @throws CallFailed where the API refuses again and again (a wrong key)
 * @throws UserError where this key sees none of the run's batches
 */
export async function watch(parts: WatchParts): Promise<Watched> {
  return new Watch(parts).run();
}

class Watch {
  readonly #watched: Watched = {
    interrupted: false,
    answers: 0,
    invalidRows: [],
    isOurAccount: false,
    inDoubt: null,
  };
  readonly #outage: Outage;
  readonly #refusedSubmissions: Outage;
  /** When each chunk's batch was last asked about in this process, by the chunk's number. */
  readonly #looks = new Map<number, number>();
  readonly #unanswerable = new Set<Chunk>();
  /** Answers of an account that may not be the one that made the batches. */
  #stranger: { times: number; since: number } | null = null;
  #hasLookedBack = false;

  constructor(private readonly parts: WatchParts) {
    this.#outage = new Outage(parts);
    this.#refusedSubmissions = new Outage(parts, true);
  }

  async run(): Promise<Watched> {
    const { ledger, waiting, checkInterval } = this.parts;
    try {
      for (;;) {
        const isReached = await this.#outage.survive(async () => {
          await this.#resolveUnanswered();
          await this.#lookBack();
          await this.#poll();
          await this.#collectEnded();
        });
        if (isReached) await this.#submitWaiting();
        this.parts.onPoll();
        if (!ledger.chunks.some((chunk) => this.#isExpected(chunk))) return this.#watched;
        const next = untilNextTurn(ledger.chunks, Date.now(), checkInterval);
        await pause(isReached ? next : this.#outage.pause, waiting);
      }
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      return { ...this.#watched, interrupted: true };
    }
  }

  async #submitWaiting(): Promise<void> {
    const { ledger, mayResubmit, queue } = this.parts;
    if (!mayResubmit) return;
    ledger.noteQueueLimit(queue?.limit ?? null);
    const next = nextFromQueue(ledger.chunks, ledger.queueLimit, Date.now(), queue?.tokens ?? null);
    if (next.length > 0) await this.#refusedSubmissions.survive(() => submitNext(next, this.parts));
  }

  #isExpected(chunk: Chunk): boolean {
    const { state } = chunk;
    if (isHandRun(chunk)) return false;
    if (state === 'creating') return !this.#unanswerable.has(chunk);
    return state === 'submitted' || state === 'waiting';
  }

  /** A creation that stays in doubt does not keep the other batches from being collected. */
  async #resolveUnanswered(): Promise<void> {
    const { ledger, resolve, reporter } = this.parts;
    for (const chunk of ledger.unanswered.filter((one) => !this.#unanswerable.has(one))) {
      try {
        await resolve(chunk);
      } catch (error) {
        if (!(error instanceof CreationInDoubt)) throw error;
        if (!error.willBeKnown) this.#unanswerable.add(chunk);
        if (this.#watched.inDoubt?.message !== error.message) reporter.warning(error.message);
        this.#watched.inDoubt = error;
      }
    }
  }

  /** Once: batches that were given up, or delivered less than was asked, may have more by now. Checking costs nothing. */
  async #lookBack(): Promise<void> {
    if (this.#hasLookedBack) return;
    const { ledger, isAnswered } = this.parts;
    const doubtful: Chunk[] = [];
    for (const chunk of ledger.chunks.filter((one) => !isHandRun(one) && mayHaveMore(one))) {
      if (!(await isAnswered(chunk))) doubtful.push(chunk);
      else if (chunk.state === 'short' || chunk.state === 'gone') ledger.change(chunk, { kind: 'answered' });
    }
    await this.#ask(doubtful);
    this.#hasLookedBack = true;
  }

  /** Batches that are running, and those that ended with something missing. */
  async #poll(): Promise<void> {
    const { ledger, isGivenUp } = this.parts;
    const isRunning = ({ batch, doubt }: Chunk): boolean =>
      batch !== null && (!hasEnded(batch) || doubt !== null);
    await this.#ask(ledger.open.filter((chunk) => isRunning(chunk) && !isHandRun(chunk)));
    // Nobody but the user knows of those that the user runs.
    for (const chunk of ledger.chunks.filter((one) => isHandRun(one) && isGivenUp(one))) {
      const why = 'it was given up';
      await ledger.apply(chunk, { kind: 'absent', why, isProven: false, elapsed: 0, givenUp: true });
    }
  }

  async #ask(chunks: readonly Chunk[]): Promise<void> {
    if (chunks.length === 0) return;
    const { ledger, reader } = this.parts;
    const { found, missing, refused } = await reader.read(
      chunks.flatMap(({ batch }) => (batch === null ? [] : [batch.id])),
    );
    if (found.size > 0) this.#watched.isOurAccount = true;
    for (const chunk of chunks) {
      const id = chunk.batch?.id ?? '';
      const batch = found.get(id);
      const failure = missing.get(id) ?? refused.get(id);
      if (batch !== undefined && isSameBatch(batch, chunk)) {
        ledger.change(chunk, { kind: 'seen', batch: withId(batch, id) });
      } else if (failure !== undefined) await this.#absent(chunk, failure, found.size > 0);
    }
    await ledger.save();
  }

  async #absent(chunk: Chunk, failure: CallFailed, seesOthers: boolean): Promise<void> {
    const { ledger, reporter, isGivenUp } = this.parts;
    const before = chunk.state;
    const givenUp = isGivenUp(chunk);
    const isProven = seesOthers || (before === 'submitted' && !givenUp && (await this.#isOurAccount(chunk)));
    const why = sanitize(failure.message, 200);
    const isFirst = chunk.doubt?.kind !== 'absent';
    const after = ledger.change(chunk, {
      kind: 'absent',
      why,
      isProven,
      elapsed: this.#elapsed(chunk),
      givenUp,
    });
    const name = sanitize(nameOf(chunk), 80);
    if (after === 'given_up' && before !== 'given_up') {
      reporter.warning(`${name} is given up; its rows may be sent again.`);
    } else if (after === 'gone' && before !== 'gone') reporter.warning(describeGone(chunk));
    else if (before === 'submitted' && isProven && isFirst) {
      reporter.warning(
        `The API does not find the batch ${name} at the moment (${why}). Checking again for a few minutes.`,
      );
    } else if (before === 'submitted' && !isProven) this.#suspectStranger(name, why);
  }

  /** Whether this key belongs to the project that made a batch. */
  async #isOurAccount(chunk: Chunk): Promise<boolean> {
    const { ledger, reader, ownsInput } = this.parts;
    if (await ownsInput(chunk)) return true;
    const others = ledger.chunks
      .flatMap((one) => (one === chunk || one.batch === null ? [] : [one.batch.id]))
      .slice(-OTHERS_ASKED);
    return others.length > 0 && (await reader.read(others)).found.size > 0;
  }

  /**
   * None of the run's batches or files is there: most likely the key belongs to another project.
   * @throws UserError where that stays so
   */
  #suspectStranger(name: string, why: string): void {
    const { waiting, reporter } = this.parts;
    const now = waiting.clock.now();
    if (this.#stranger === null) {
      reporter.warning(
        `This key sees neither ${name} nor any other batch or file of this run (${why}). Checking again for a few minutes.`,
      );
    }
    this.#stranger ??= { times: 0, since: now };
    this.#stranger.times += 1;
    const { times, since } = this.#stranger;
    if (times < GONE_AFTER.times || now - since < GONE_AFTER.overMs) return;
    throw new UserError(
      `This key sees neither ${name} nor any other batch or file of this run (${why}). Most likely it belongs to another ` +
        'project or account: set the key that the batches were submitted with, and run the same command again. Nothing ' +
        'was changed, and nothing was sent again.',
    );
  }

  async #collectEnded(): Promise<void> {
    const { ledger, mayResubmit } = this.parts;
    for (const chunk of ledger.open) {
      const { batch } = chunk;
      if (batch === null || !hasEnded(batch) || chunk.doubt?.kind === 'absent') continue;
      if (isQueueRefusal(batch) && mayResubmit && !chunk.isAdopted) await putBack(chunk, batch, this.parts);
      else await this.#collect(chunk, batch);
    }
  }

  async #collect(chunk: Chunk, batch: Batch): Promise<void> {
    const { ledger, reporter, collect, isGivenUp } = this.parts;
    const isFirst = chunk.collected === null;
    const before = chunk.doubt?.why ?? null;
    const look = { elapsed: this.#elapsed(chunk), givenUp: isGivenUp(chunk) };
    const outcome = await collect(chunk, batch, look);
    this.#watched.answers += outcome.answers;
    this.#watched.invalidRows.push(...outcome.invalidRows);
    if (isFirst) ledger.noteRoom(Date.now());
    const { doubt } = ledger.chunks.find((one) => one === chunk) ?? chunk;
    if (isIn(chunk, 'short')) reporter.warning(describeShort(chunk));
    else if (isIn(chunk, 'given_up')) {
      reporter.warning(
        `${sanitize(nameOf(chunk), 80)} is given up; rows without an answer may be sent again.`,
      );
    } else if (doubt !== null && doubt.why !== before) {
      reporter.warning(
        `${sanitize(nameOf(chunk), 80)} ended, but ${doubt.why}. Waiting for the rest and downloading again.`,
      );
    }
  }

  /** Milliseconds since a batch was last asked about in this process. */
  #elapsed({ number }: Chunk): number {
    const now = this.parts.waiting.clock.now();
    const last = this.#looks.get(number) ?? now;
    this.#looks.set(number, now);
    return now - last;
  }
}

function isIn({ state }: Chunk, wanted: Chunk['state']): boolean {
  return state === wanted;
}

/** Chunks that are settled, and whose batch may nevertheless have something that never arrived. */
function mayHaveMore({ state, batch, collected, requests }: Chunk): boolean {
  if (batch === null) return false;
  if (state === 'short' || state === 'gone' || state === 'given_up') return true;
  return state === 'collected' && (collected?.accounted ?? 0) < requests;
}

/** Some gateways answer with the id that they hide; what else a batch says must be ours then. */
function isSameBatch(batch: Batch, { batch: known }: Chunk): boolean {
  if (known === null || batch.id === known.id) return true;
  const [theirs, ours] = [readOrigin(batch.metadata), readOrigin(known.metadata)];
  if (theirs !== null && ours !== null) return theirs.run === ours.run && theirs.chunk === ours.chunk;
  return batch.inputFileId !== null && batch.inputFileId === known.inputFileId;
}

/** The batch under the id that it is asked for by. */
function withId(batch: Batch, id: string): Batch {
  return batch.id === id ? batch : { ...batch, id, raw: { ...batch.raw, id } };
}

function describeGone(chunk: Chunk): string {
  const name = sanitize(nameOf(chunk), 80);
  const { times = 0, overMs = 0, why = '' } = chunk.doubt ?? {};
  return (
    `${name} no longer exists: the account that created it said so ${plural(times, 'time')} over ${duration(overMs)} ` +
    `(${why}). Its ${plural(chunk.requests, 'request')} may have been paid for, so the rows are held back. It is looked ` +
    `for again whenever the run is watched; if it is certainly lost, --give_up ${name} releases its rows.`
  );
}

function describeShort(chunk: Chunk): string {
  const name = sanitize(nameOf(chunk), 80);
  const { times = 0, overMs = 0, why = '' } = chunk.doubt ?? {};
  const missing = chunk.requests - (chunk.collected?.accounted ?? 0);
  return (
    `${name} ended, but ${why} (checked ${plural(times, 'time')} over ${duration(overMs)}). ${count(Math.max(0, missing))} of its ` +
    `${plural(chunk.requests, 'request')} may have been paid for without an answer here, so their rows are held back. It is ` +
    `looked at again whenever the run is watched; if nothing more can come, --give_up ${name} releases them.`
  );
}

/** The queue was full when a batch was validated: its chunk waits, or is halved where it can't fit. */
async function putBack(chunk: Chunk, batch: Batch, parts: WatchParts): Promise<void> {
  const messages = batch.errors.map(({ message }) => message);
  const reason = sanitize(messages.find((message) => message !== '') ?? 'the queue is full', 400);
  if (await isHalved(chunk, reason, parts)) return;
  parts.reporter.info(
    `${sanitize(batch.id, 80)} did not fit into the queue; ${chunk.file ?? ''} waits until there is room.`,
  );
}

/** Deals with a refusal by the queue; false where the chunk simply waits for room. */
async function isHalved(
  chunk: Chunk,
  reason: string,
  { ledger, folder, reporter, checkInterval, queue }: WatchParts,
): Promise<boolean> {
  ledger.noteQueueLimit(queueLimit(reason));
  const { chunks, queueLimit: limit } = ledger;
  const others = queue?.tokens ?? 0;
  const refusal = refused(chunk, { chunks, limit, now: Date.now(), pause: checkInterval, others });
  if (!refusal.isTooLarge) {
    const { tryAgainAt, refusals } = refusal;
    await ledger.apply(chunk, { kind: 'waits', reason, tryAgainAt, refusals });
    return false;
  }
  if (await halve(folder, ledger, chunk)) {
    reporter.info(
      `${chunk.file ?? ''} is larger than the whole queue (${sanitize(reason, 200)}); submitting it in two halves.`,
    );
    return true;
  }
  // It cannot be made smaller; the user must decide what happens to its row.
  reporter.warning(
    `The single request in ${chunk.file ?? ''} is larger than the whole queue (${sanitize(reason, 200)}).`,
  );
  await ledger.apply(chunk, { kind: 'too_large' });
  return true;
}

/**
 * Submits chunks whose turn it is; what could not be submitted waits for its next turn.
 * @throws CallFailed where the API refuses one
 */
async function submitNext(next: readonly Chunk[], parts: WatchParts): Promise<void> {
  const { ledger, reporter } = parts;
  const { failed } = await parts.submit(next);
  // Some servers report a full queue at once.
  const again = next.filter(({ state, tryAgainAt }) => state === 'waiting' && tryAgainAt === null);
  for (const chunk of again) await isHalved(chunk, chunk.refusedBy ?? '', parts);
  let refusal: CallFailed | null = null;
  for (const { chunk, reason } of failed) {
    // Whether it was made is looked up with the next poll.
    if (reason instanceof CreationInDoubt) continue;
    if (!(reason instanceof CallFailed)) throw reason;
    if (isTransient(reason)) {
      const why = sanitize(reason.message, 200);
      reporter.warning(`${chunk.file ?? ''} could not be submitted (${why}); retrying later.`);
    } else refusal ??= reason;
    if (chunk.state === 'creating') continue;
    const tryAgainAt = Date.now() + Math.max(parts.checkInterval, 1000);
    ledger.change(chunk, { kind: 'waits', reason: null, tryAgainAt });
  }
  await ledger.save();
  if (refusal !== null) throw refusal;
}
