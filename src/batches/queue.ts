/**
 * The queue: an account has a limit of tokens enqueued in batches. What does not fit waits and is sent in waves,
 * as earlier batches end. The limit is learnt from the refusal; where the refusal does not name it, one batch goes for
 * each that ended.
 */

import { hasEnded } from './batch.js';
import type { Chunk } from './chunk.js';

const LONGEST_PAUSE_MS = 30 * 60_000;
/** Refusals of a chunk that was alone, before it is halved although it should fit: others may fill the queue. */
const REFUSALS_BEFORE_HALVING = 2;

/** The part of an account's queue that other workers of a planned run fill. */
export interface SharedQueue {
  /** Tokens of their batches that have not ended, and of those that they are about to submit. */
  readonly tokens: number;
  /** The limit that any of them has learnt; null for none. */
  readonly limit: number | null;
  /**
   * Announces chunks that are about to be submitted.
   * @returns false where another worker announced so much at the same moment that both do not fit
   */
  reserve: (chunks: readonly Chunk[]) => boolean;
  /** Ends what `reserve` announced: from here on the batches count that were made. */
  release: () => void;
}

/** Tokens of a run's batches that have not ended, or that are being made. */
export function enqueuedTokens(chunks: readonly Chunk[]): number {
  return sumOf(chunks.filter((chunk) => isUnderWay(chunk) || chunk.state === 'creating'));
}

function sumOf(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, { tokens }) => sum + tokens, 0);
}

/** Tokens of batches that the API has not ended yet. */
function tokensUnderWay(chunks: readonly Chunk[]): number {
  return sumOf(chunks.filter(isUnderWay));
}

function isUnderWay({ state, batch }: Chunk): boolean {
  return state === 'submitted' && batch !== null && !hasEnded(batch);
}

/**
 * The waiting chunks that may be submitted now, in their order.
 * @param others tokens that other workers have in the queue; null for a run that is alone in its account
 */
export function nextFromQueue(
  chunks: readonly Chunk[],
  limit: number | null,
  now: number,
  others: number | null = null,
): Chunk[] {
  const waiting = chunks.filter(({ state }) => state === 'waiting');
  const isIdle = !chunks.some(isUnderWay);
  // Batches of others end without notice: where room can be worked out, there may be some at any time.
  const mayFit = isIdle || (others !== null && limit !== null);
  const ready = waiting.filter(({ tryAgainAt }) => (tryAgainAt === null ? mayFit : isDue(tryAgainAt, now)));
  const first = ready[0];
  if (first === undefined) return [];
  if (limit === null) return [first];
  const next: Chunk[] = [];
  let room = limit - tokensUnderWay(chunks) - (others ?? 0);
  for (const chunk of ready) {
    if (chunk.tokens > room) break;
    next.push(chunk);
    room -= chunk.tokens;
  }
  // The estimate may be too high: one that is alone has its try.
  return next.length === 0 && isIdle && (others ?? 0) === 0 ? [first] : next;
}

/**
 * Milliseconds to the next poll: sooner where a chunk's turn comes before. One whose turn has come, and that is still
 * waiting, found no room: only another look at the batches that are running can show some.
 */
export function untilNextTurn(chunks: readonly Chunk[], now: number, checkInterval: number): number {
  const turns = chunks.flatMap(({ state, tryAgainAt }) =>
    state === 'waiting' && tryAgainAt !== null && tryAgainAt > now ? [tryAgainAt - now] : [],
  );
  return Math.min(checkInterval, ...turns);
}

/** A time further off than any pause is long was noted before the clock was set back. */
function isDue(time: number, now: number): boolean {
  return time <= now || time > now + LONGEST_PAUSE_MS;
}

/** What becomes of a chunk that the queue refused. */
export interface Refusal {
  /** True if it can never fit and must be halved. */
  isTooLarge: boolean;
  /** Milliseconds since 1970; null where it waits until a batch of ours ends. */
  tryAgainAt: number | null;
  refusals: number;
}

/** What is known of a queue that refused a chunk. */
export interface RefusingQueue {
  /** All of the run's. */
  chunks: readonly Chunk[];
  /** Tokens that it takes; null where that is not known. */
  limit: number | null;
  /** Milliseconds since 1970. */
  now: number;
  /** Milliseconds to wait at first where no batch of ours is running that could make room. */
  pause: number;
  /** Tokens that other workers of the run have in it; 0 where absent. */
  others?: number;
}

/** Decides on a chunk that the queue refused. */
export function refused(chunk: Chunk, { chunks, limit, now, pause, others = 0 }: RefusingQueue): Refusal {
  const hasOwn = chunks.some((one) => one !== chunk && isUnderWay(one));
  if (hasOwn) return { isTooLarge: false, tryAgainAt: null, refusals: chunk.refusals };
  const refusals = chunk.refusals + 1;
  const isNeverFitting = limit !== null && chunk.tokens > limit;
  const isTooLarge =
    isNeverFitting || (others === 0 && (limit === null || refusals >= REFUSALS_BEFORE_HALVING));
  const wait = Math.min(LONGEST_PAUSE_MS, pause * 2 ** refusals);
  return { isTooLarge, tryAgainAt: isTooLarge ? null : now + wait, refusals };
}
