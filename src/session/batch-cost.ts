/** What batches may cost, for `--max_cost`: the worst case counts until a batch is collected. */

import type { Chunk } from '../batches/chunk.js';
import type { Ledger } from '../batches/ledger.js';
import type { CostBound } from '../run/budget.js';
import { mostTokens, type GenerationParameters } from '../models/generation.js';
import { costOf, type Price } from '../models/prices.js';
import type { Totals } from '../run/totals.js';

/** Keeps what is submitted under `--max_cost`, with the worst case of every batch that may still be billed. */
export function affordability(
  { call: { generation }, policy: { maxCost }, price }: CostBound,
  ledger: Ledger,
  totals: Totals,
): (chunk: Chunk) => boolean {
  if (maxCost === null || price === null) return () => true;
  const approved = new Set<Chunk>();
  return (chunk) => {
    const billable = new Set([...approved, ...ledger.holding.filter(mayBeBilled)]);
    billable.delete(chunk);
    const reserved = costLeft([...billable], generation, price);
    if ((totals.cost ?? 0) + reserved + worstCase(chunk, generation, price) > maxCost) return false;
    approved.add(chunk);
    return true;
  };
}

/**
 * What batches of a run may still be billed for beside what is counted: those that run, and those of which it is not
 * known whether they exist or what they delivered.
 * @returns US dollars; 0 where no price is known
 */
export function reservedForBatches(
  { holding }: Pick<Ledger, 'holding'>,
  generation: GenerationParameters,
  price: Price | null,
): number {
  return price === null ? 0 : costLeft(holding.filter(mayBeBilled), generation, price);
}

/**
 * What all batches of a run cost in the worst case, with those that are not submitted yet.
 * @returns US dollars; Infinity where nothing bounds it
 */
export function costOfAll(
  { holding }: Pick<Ledger, 'holding'>,
  totals: Pick<Totals, 'cost'>,
  generation: GenerationParameters,
  price: Price,
): number {
  return (totals.cost ?? 0) + costLeft(holding, generation, price);
}

function costLeft(chunks: readonly Chunk[], generation: GenerationParameters, price: Price): number {
  return chunks.reduce((sum, chunk) => sum + worstCase(chunk, generation, price) * shareLeft(chunk), 0);
}

/** A prompt never has more tokens than bytes, so this is certain. */
function worstCase({ bytes, requests }: Chunk, generation: GenerationParameters, price: Price): number {
  const completionTokens = requests * (mostTokens(generation) ?? Infinity);
  return price.highestBatchShare * costOf({ promptTokens: bytes, completionTokens, cachedTokens: 0 }, price);
}

/** True for a chunk of which a batch exists, or may exist, whether it can be seen or not. */
function mayBeBilled({ state }: Chunk): boolean {
  return state === 'creating' || state === 'submitted' || state === 'short' || state === 'gone';
}

/** The part of a chunk whose cost is not among the totals yet. */
function shareLeft({ collected, requests }: Chunk): number {
  if (collected === null) return 1;
  return requests === 0 ? 0 : 1 - Math.min(1, (collected.accounted ?? 0) / requests);
}
