/**
 * The queue: an account may have only so many tokens enqueued in batches. What does not fit waits and goes in waves,
 * as earlier batches end. The limit is learnt from the refusal; where the refusal does not name it, one batch goes for
 * each that ended.
 */

import { hasEnded } from './batch.js';
import type { Chunk } from './ledger.js';

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

/** A batch of ours ended, so those that wait for room may try. */
export function roomWasMade(chunks: readonly Chunk[], now: number): void {
  for (const chunk of chunks) {
    if (chunk.state === 'waiting' && chunk.tryAgainAt === null) chunk.tryAgainAt = now;
  }
}

/**
 * Puts a chunk that the queue refused back among those that wait.
 * @param pause milliseconds to wait at first where nothing of ours is under way that could make room
 * @returns true where the chunk can't fit at all, and is to be halved
 */
export function refused(
  chunk: Chunk,
  chunks: readonly Chunk[],
  limit: number | null,
  now: number,
  pause: number,
): boolean {
  const isAlone = !chunks.some((one) => one !== chunk && isUnderWay(one));
  chunk.state = 'waiting';
  chunk.tryAgainAt = null;
  if (!isAlone) return false;
  chunk.refusals += 1;
  if (limit === null || chunk.tokens > limit || chunk.refusals >= REFUSALS_BEFORE_HALVING) return true;
  chunk.tryAgainAt = now + Math.min(LONGEST_PAUSE_MS, pause * 2 ** chunk.refusals);
  return false;
}
