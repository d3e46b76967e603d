/**
 * The queue: an account may have only so many tokens enqueued in batches. What does not fit waits and goes in waves,
 * as earlier batches end. The limit is learnt from the refusal; where the refusal does not name it, one batch goes for
 * each that ended.
 */

import { hasEnded } from './batch.js';
import type { Chunk } from './chunk.js';

const LONGEST_PAUSE_MS = 30 * 60_000;
/** Refusals of a chunk that was alone, before it is halved although it should fit: others may fill the queue. */
const REFUSALS_BEFORE_HALVING = 2;

/** Tokens of batches that the API has not ended yet. */
function tokensUnderWay(chunks: readonly Chunk[]): number {
  return chunks.filter(isUnderWay).reduce((sum, { tokens }) => sum + tokens, 0);
}

function isUnderWay({ state, batch }: Chunk): boolean {
  return state === 'submitted' && batch !== null && !hasEnded(batch);
}

/** The waiting chunks that may be submitted now, in their order. */
export function nextFromQueue(chunks: readonly Chunk[], limit: number | null, now: number): Chunk[] {
  const waiting = chunks.filter(({ state }) => state === 'waiting');
  const isIdle = !chunks.some(isUnderWay);
  const ready = waiting.filter(({ tryAgainAt }) => (tryAgainAt === null ? isIdle : isDue(tryAgainAt, now)));
  const first = ready[0];
  if (first === undefined) return [];
  if (limit === null) return [first];
  const next: Chunk[] = [];
  let room = limit - tokensUnderWay(chunks);
  for (const chunk of ready) {
    if (chunk.tokens > room) break;
    next.push(chunk);
    room -= chunk.tokens;
  }
  // The estimate may be too high: one that is alone has its try.
  return next.length === 0 && isIdle ? [first] : next;
}

/** A time further off than any pause is long was noted before the clock was set back. */
function isDue(time: number, now: number): boolean {
  return time <= now || time > now + LONGEST_PAUSE_MS;
}

/** What becomes of a chunk that the queue refused. */
export interface Refusal {
  /** True where it cannot fit at all and is to be halved. */
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
}

/** Decides on a chunk that the queue refused. */
export function refused(chunk: Chunk, { chunks, limit, now, pause }: RefusingQueue): Refusal {
  const isAlone = !chunks.some((one) => one !== chunk && isUnderWay(one));
  if (!isAlone) return { isTooLarge: false, tryAgainAt: null, refusals: chunk.refusals };
  const refusals = chunk.refusals + 1;
  const isTooLarge = limit === null || chunk.tokens > limit || refusals >= REFUSALS_BEFORE_HALVING;
  const wait = Math.min(LONGEST_PAUSE_MS, pause * 2 ** refusals);
  return { isTooLarge, tryAgainAt: isTooLarge ? null : now + wait, refusals };
}
