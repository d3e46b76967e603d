/**
 * The tokens that an account may have in its queue of batches, shared by the workers of a planned run: each reads what the
 * others have in it from the small files of their shards, and writes what it is about to submit before it does.
 */

import { enqueuedTokens, type SharedQueue } from '../batches/queue.js';
import type { Chunk } from '../batches/chunk.js';
import type { Ledger } from '../batches/ledger.js';
import type { Clock } from '../lib/clock.js';
import type { ShardState } from '../shards/state.js';

/**
 * A worker that waits so long for room, with nothing of its own in the queue, tries once: a shard whose worker is gone says
 * what it had then, and the account knows better. A refusal costs nothing.
 */
const PATIENCE_MS = 30 * 60_000;

export interface ShardQueueParts {
  ledger: Ledger;
  /** The states of the other shards as they are now; null for one that no worker has started. */
  others: () => readonly (Pick<ShardState, 'queue'> | null)[];
  /** Writes the state of this shard. */
  note: () => void;
  clock: Pick<Clock, 'now'>;
}

export class ShardQueue implements SharedQueue {
  #reserved: readonly Chunk[] = [];
  #stuckSince: number | null = null;

  constructor(private readonly parts: ShardQueueParts) {}

  get tokens(): number {
    const tokens = this.#others().reduce((sum, { queue }) => sum + (queue?.tokens ?? 0), 0);
    return tokens > 0 && this.#isOutOfPatience() ? 0 : tokens;
  }

  get limit(): number | null {
    const limits = this.#others().flatMap(({ queue }) => queue?.limit ?? []);
    return limits.length === 0 ? null : Math.min(...limits);
  }

  /** What this shard has in the queue, for its state. */
  get own(): NonNullable<ShardState['queue']> {
    const { chunks, queueLimit } = this.parts.ledger;
    // A reserved chunk counts once, whether its batch was made by now or not.
    const made = chunks.filter((chunk) => !this.#reserved.includes(chunk));
    const reserved = this.#reserved.reduce((sum, { tokens }) => sum + tokens, 0);
    return { tokens: enqueuedTokens(made) + reserved, limit: queueLimit };
  }

  reserve(chunks: readonly Chunk[]): boolean {
    const before = this.tokens;
    this.#reserved = chunks;
    this.parts.note();
    const { limit, tokens: own } = this.own;
    const now = this.tokens;
    if (limit === null || now <= before || now + own <= limit) return true;
    this.release();
    return false;
  }

  release(): void {
    this.#reserved = [];
    this.parts.note();
  }

  #others(): Pick<ShardState, 'queue'>[] {
    return this.parts.others().filter((state) => state !== null);
  }

  #isOutOfPatience(): boolean {
    const { ledger, clock } = this.parts;
    const isWaiting = ledger.chunks.some(({ state }) => state === 'waiting');
    if (!isWaiting || enqueuedTokens(ledger.chunks) > 0) {
      this.#stuckSince = null;
      return false;
    }
    this.#stuckSince ??= clock.now();
    if (clock.now() - this.#stuckSince < PATIENCE_MS) return false;
    this.#stuckSince = null;
    return true;
  }
}
