/** What both commands need to work with batches: the client and the parts of a submission. */

import { BATCH_DISCOUNT, costOf, type Price } from '../models/prices.js';
import { BatchClient } from '../batches/client.js';
import type { Chunk } from '../batches/chunk.js';
import type { Ledger } from '../batches/ledger.js';
import type { SubmitParts } from '../batches/submit.js';
import { findEndpoint, warnOfPlainHttp } from '../models/endpoint.js';
import type { RunOptions } from '../cli/options.js';
import { packageVersion } from '../lib/package.js';
import { systemClock } from '../lib/clock.js';
import type { RunIdentity } from '../run/identity.js';
import type { Totals } from '../run/totals.js';
import type { Reporter } from '../types.js';
import { mostTokens } from '../models/generation.js';

/** The longest that a small call may take; what stands still longer is lost, and batches can be asked for again. */
const CALL_TIMEOUT_MS = 60_000;

/** A client for the run's provider. */
export function openBatchClient(options: RunOptions, reporter: Reporter, signal: AbortSignal): BatchClient {
  const endpoint = findEndpoint(options);
  const { address, apiKey } = endpoint;
  warnOfPlainHttp(endpoint, reporter);
  return new BatchClient({
    address,
    apiKey,
    timeout: Math.min(options.requestTimeout * 1000, CALL_TIMEOUT_MS),
    userAgent: `reannotate/${packageVersion()}`,
    redactor: options.environment.redactor,
    signal,
  });
}

/** The parts of a submission for a run. */
export function submitParts(
  options: RunOptions,
  ledger: Ledger,
  client: BatchClient,
  identity: RunIdentity,
  totals: Totals,
  price: Price | null,
  reporter: Reporter,
  signal: AbortSignal,
  isGivenUp: (chunk: Chunk) => boolean = () => false,
): SubmitParts {
  return {
    ledger,
    client,
    identity,
    reporter,
    isGivenUp,
    waiting: { clock: systemClock, random: Math.random, signal },
    affordable: affordability(options, ledger, totals, price),
  };
}

/** Keeps what is submitted under `--max_cost`, with the worst case of what is under way. */
function affordability(
  options: RunOptions,
  ledger: Ledger,
  totals: Totals,
  price: Price | null,
): (chunk: Chunk) => boolean {
  const { maxCost, generation } = options;
  if (maxCost === null || price === null) return () => true;
  // A prompt never has more tokens than bytes, so this worst case is certain.
  const worstCase = (chunk: Chunk): number =>
    BATCH_DISCOUNT *
    costOf(
      {
        promptTokens: chunk.bytes,
        completionTokens: chunk.requests * (mostTokens(generation) ?? Infinity),
        cachedTokens: 0,
      },
      price,
    );
  const approved = new Set<Chunk>();
  return (chunk) => {
    const billable = new Set([...approved, ...ledger.holding.filter(mayBeBilled)]);
    const reserved = [...billable].reduce(
      (sum, one) => sum + (one === chunk ? 0 : worstCase(one) * shareLeft(one)),
      0,
    );
    if ((totals.cost ?? 0) + reserved + worstCase(chunk) > maxCost) return false;
    approved.add(chunk);
    return true;
  };
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
