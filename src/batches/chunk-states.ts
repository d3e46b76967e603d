/**
 * The states of a chunk and what leads from one to another: pure functions, so that every kind of evidence can be
 * checked in a table. Whatever is paid for twice is paid for because a state was left too early, so no single negative
 * answer ends one, and what was missed can always be collected later.
 */

import { hasEnded, type Batch } from './batch.js';
import { saidOf, type Chunk, type ChunkState, type Collected, type Doubt } from './chunk.js';
import { assess, type Delivery, type Patience } from './delivery.js';

/** How many 404s over how long a time make a batch gone, from an account that is known to be the right one. */
export const GONE_AFTER: Patience = { times: 5, overMs: 5 * 60_000 };

/** What happens to a chunk, or is learnt about its batch. */
export type ChunkEvent =
  | { kind: 'uploaded'; fileId: string; at: number | null }
  | { kind: 'creating'; creation: string; at: number }
  | { kind: 'accepted' }
  | { kind: 'not_created' }
  | { kind: 'created'; batch: Batch }
  | { kind: 'waits'; reason: string | null; tryAgainAt: number | null; refusals?: number }
  | { kind: 'halved' }
  | { kind: 'too_large' }
  | { kind: 'seen'; batch: Batch }
  | {
      kind: 'absent';
      why: string;
      /** True where the account is known to be the one that made the batch. */
      isProven: boolean;
      /** Milliseconds since the last answer about this batch in this process. */
      elapsed: number;
      givenUp: boolean;
    }
  | { kind: 'delivered'; collected: Collected; delivery: Delivery; elapsed: number; givenUp: boolean }
  | { kind: 'answered' }
  | { kind: 'given_up' };

/** The states in which an event can happen; in any other it is a defect of this program. */
const POSSIBLE_IN: Readonly<Record<ChunkEvent['kind'], readonly ChunkState[]>> = {
  uploaded: ['planned', 'uploaded', 'waiting'],
  creating: ['uploaded', 'waiting'],
  accepted: ['creating'],
  not_created: ['creating'],
  created: ['creating'],
  waits: ['planned', 'uploaded', 'waiting', 'submitted'],
  halved: ['waiting', 'submitted'],
  too_large: ['waiting', 'submitted'],
  seen: ['submitted', 'collected', 'short', 'gone', 'given_up'],
  absent: ['submitted', 'collected', 'short', 'gone', 'given_up'],
  delivered: ['submitted'],
  answered: ['short', 'gone', 'collected'],
  given_up: ['creating'],
};

/**
 * What an event changes in a chunk.
 * @throws Error where the event is impossible in the chunk's state
 */
export function transition(chunk: Chunk, event: ChunkEvent): Partial<Chunk> {
  if (!POSSIBLE_IN[event.kind].includes(chunk.state)) {
    throw new Error(`a chunk that is ${chunk.state} cannot become ${event.kind}`);
  }
  switch (event.kind) {
    case 'uploaded':
      return { state: 'uploaded', inputFileId: event.fileId, uploadedAt: event.at };
    case 'creating':
      return {
        state: 'creating',
        attempt: chunk.attempt + 1,
        creatingAt: event.at,
        creation: event.creation,
        isAccepted: false,
      };
    case 'accepted':
      return { isAccepted: true };
    case 'not_created':
      return { state: chunk.inputFileId === null ? 'planned' : 'uploaded', isAccepted: false };
    case 'created':
      return { state: 'submitted', batch: event.batch, ...NOTHING_AGAINST };
    case 'waits':
      return {
        state: 'waiting',
        refusedBy: event.reason ?? chunk.refusedBy,
        tryAgainAt: event.tryAgainAt,
        refusals: event.refusals ?? chunk.refusals,
      };
    case 'halved':
      return { state: 'halved', batch: null };
    case 'too_large':
      return { state: 'too_large' };
    case 'seen':
      return seen(chunk, event.batch);
    case 'absent':
      return absent(chunk, event);
    case 'delivered':
      return delivered(chunk, event);
    case 'answered':
      return { state: 'collected', doubt: null };
    case 'given_up':
      return { state: 'given_up', isAccepted: false };
  }
}

const NOTHING_AGAINST = { refusedBy: null, tryAgainAt: null, doubt: null, isAccepted: false } as const;

function seen(chunk: Chunk, batch: Batch): Partial<Chunk> {
  const { state, collected, doubt } = chunk;
  // It was absent and is there again, or it runs: nothing that was thought of it before counts.
  if (!hasEnded(batch)) return { state: 'submitted', batch, doubt: null };
  const left = doubt?.kind === 'absent' ? null : doubt;
  const isSettled = state === 'collected' || state === 'given_up';
  const hasNews = collected?.said !== saidOf(batch);
  return isSettled && !hasNews ? { batch } : { state: 'submitted', batch, doubt: isSettled ? null : left };
}

function absent(
  chunk: Chunk,
  { why, isProven, elapsed, givenUp }: Extract<ChunkEvent, { kind: 'absent' }>,
): Partial<Chunk> {
  if (givenUp) return { state: 'given_up', doubt: null };
  // What was settled stays so, and an account that may be another one proves nothing.
  if (chunk.state !== 'submitted' || !isProven) return {};
  const doubt = grown(chunk.doubt, 'absent', elapsed, why);
  return { doubt, state: isEnough(doubt, GONE_AFTER) ? 'gone' : 'submitted' };
}

function delivered(
  chunk: Chunk,
  { collected, delivery, elapsed, givenUp }: Extract<ChunkEvent, { kind: 'delivered' }>,
): Partial<Chunk> {
  if (chunk.batch === null) throw new Error('a chunk without a batch delivers nothing');
  const assessment = assess(chunk.batch, delivery);
  if (assessment.kind === 'complete') return { collected, state: 'collected', doubt: null };
  const doubt = grown(chunk.doubt, 'undelivered', elapsed, assessment.why);
  if (givenUp) return { collected, state: 'given_up', doubt: null };
  if (!isEnough(doubt, assessment.patience)) return { collected, doubt };
  return assessment.then === 'short'
    ? { collected, doubt, state: 'short' }
    : { collected, doubt: null, state: 'collected' };
}

/** The first of several negative answers took no time; those of another kind do not add up. */
function grown(before: Doubt | null, kind: Doubt['kind'], elapsed: number, why: string): Doubt {
  if (before?.kind !== kind) return { kind, times: 1, overMs: 0, why };
  return { kind, times: before.times + 1, overMs: before.overMs + Math.max(0, elapsed), why };
}

function isEnough({ times, overMs }: Doubt, patience: Patience): boolean {
  return times >= patience.times && overMs >= patience.overMs;
}

/** A batch may still answer the rows of a chunk, or has answered them out of reach: sending them again may pay twice. */
export function holdsRows({ state }: Pick<Chunk, 'state'>): boolean {
  return HOLDING.has(state);
}

const HOLDING: ReadonlySet<ChunkState> = new Set<ChunkState>([
  'planned',
  'uploaded',
  'creating',
  'submitted',
  'waiting',
  'short',
  'gone',
]);

/** True for a chunk whose rows stay without an answer until its batch is seen again or given up. */
export function isOutstanding({ state }: Pick<Chunk, 'state'>): boolean {
  return state === 'short' || state === 'gone' || state === 'creating';
}
