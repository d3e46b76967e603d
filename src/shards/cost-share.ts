/**
 * What one shard may cost, so that `--max_cost` holds for all workers together without any of them asking another.
 *
 * Shards that are done have cost what they say. What is left is divided by rows among the others, and a shard's part never
 * shrinks: since none costs more than its part, each row of those that are left has at least as much as before. So parts
 * that were worked out at different times never come to more than the whole.
 */

import type { ShardState } from './state.js';

export interface ShardCost {
  rows: number;
  /** Null if no worker has started, or if its file cannot be read. */
  state: Pick<ShardState, 'phase' | 'cost_usd'> | null;
}

/**
 * @param maxCost US dollars for the whole run
 * @param shards all of the plan
 * @returns US dollars for a shard, whatever was spent on it before included
 */
export function costShare(maxCost: number, shards: readonly ShardCost[], shard: number): number {
  let left = maxCost;
  let rows = 0;
  shards.forEach((one, index) => {
    if (index !== shard && one.state?.phase === 'done') left -= one.state.cost_usd ?? 0;
    else rows += one.rows;
  });
  return (Math.max(0, left) * (shards[shard]?.rows ?? 0)) / Math.max(1, rows);
}
