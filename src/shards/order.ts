/** In which order a worker without a shard of its own tries those that are open. */

import type { ShardState } from './state.js';
import type { RetriableState } from '../types.js';

/**
 * Whether there is anything to send in a shard. One that is done is opened again only to retry rows.
 * @param state null if no worker has started
 */
export function isOpen(
  state: ShardState | 'unreadable' | null,
  { digest, shard }: { digest: string; shard: number },
  retry: readonly RetriableState[],
): boolean {
  if (state === null || state === 'unreadable' || state.phase !== 'done') return true;
  if (state.plan !== digest || state.shard !== shard) return true;
  return retry.length > 0 && [...retry, 'pending' as const].some((one) => state.rows[one] > 0);
}

/** Shards from a place on, each once: workers that start at the same moment begin at different ones. */
export function rotated(shards: readonly number[], start: number): number[] {
  const place = shards.length === 0 ? 0 : Math.floor(start * shards.length) % shards.length;
  return [...shards.slice(place), ...shards.slice(0, place)];
}
