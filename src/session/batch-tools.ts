/** What both commands need to work with batches: the client and the parts of a submission. */

import type { Price } from '../models/prices.js';
import { openBatchApi } from '../batches/apis/index.js';
import type { BatchApi } from '../batches/apis/batch-api.js';
import { callFailed, type Waiting } from '../batches/calls.js';
import type { Chunk } from '../batches/chunk.js';
import type { Ledger } from '../batches/ledger.js';
import type { SharedQueue } from '../batches/queue.js';
import type { SubmitParts } from '../batches/submit.js';
import { batchTermsOf, findEndpoint, warnOfPlainKey } from '../models/endpoint.js';
import type { ModelCall } from '../models/call.js';
import type { RunPolicy } from '../run/settings.js';
import { packageVersion } from '../lib/package.js';
import { systemClock } from '../lib/clock.js';
import type { RunIdentity } from '../run/identity.js';
import type { Totals } from '../run/totals.js';
import type { Reporter } from '../types.js';
import { affordability } from './batch-cost.js';
import type { ErrorStop } from './stops.js';

/** The longest that a small call may take; what hangs longer is lost, and batches can be looked up again. */
const CALL_TIMEOUT_MS = 60_000;

/** Whose batches are submitted and searched for. */
export interface BatchAccount {
  call: ModelCall;
  dataset: string;
}

/**
 * The batch API of the run's provider.
 * @param longest milliseconds that a small call may take
 */
export function openBatchClient(
  { call, dataset }: BatchAccount,
  reporter: Reporter,
  signal: AbortSignal,
  longest = CALL_TIMEOUT_MS,
): BatchApi {
  const endpoint = findEndpoint(call);
  const { address, apiKey } = endpoint;
  warnOfPlainKey(endpoint, reporter);
  const connection = {
    address,
    apiKey,
    timeout: Math.min(call.limits.timeout * 1000, longest),
    userAgent: `reannotate/${packageVersion()}`,
    redactor: call.environment.redactor,
    signal,
    account: call.environment.variables['FIREWORKS_ACCOUNT_ID']?.trim() || null,
  };
  const owner = { dataset, annotator: call.annotator.name };
  return openBatchApi(batchTermsOf(call)?.api ?? 'openai', connection, owner);
}

/**
 * A batch with a wrong key or model fails minutes or hours later, so both are looked up first.
 * @returns why no batch of this model can work; null where that is not certain
 */
export async function modelRefusal(call: ModelCall, client: BatchApi): Promise<ErrorStop | null> {
  try {
    await client.requireModel(call.annotator.model);
    return null;
  } catch (error) {
    const { verdict, status } = callFailed(error);
    if (verdict.kind !== 'run') return null;
    // A server that has no list of models answers 404 as well.
    const isCertain =
      status === 401 || (verdict.cause === 'model' && /model_not_found/.test(verdict.message));
    return isCertain ? { reason: 'error', cause: verdict.cause, message: verdict.message } : null;
  }
}

/** Waits in real time, until a signal ends them. */
export function waitingUntil(signal: AbortSignal): Waiting {
  return { clock: systemClock, random: Math.random, signal };
}

/** A run whose rows are submitted. */
interface Submission {
  call: ModelCall;
  policy: RunPolicy;
  ledger: Ledger;
  client: BatchApi;
  identity: RunIdentity;
  totals: Totals;
  price: Price | null;
  reporter: Reporter;
  signal: AbortSignal;
  /** True for a chunk of which nothing more is expected; none where absent. */
  isGivenUp?: (chunk: Chunk) => boolean;
  /** The command that names such chunks, without a name. */
  giveUpCommand: string;
  /** The command that collects a batch by its id; absent where there is none. */
  collectCommand?: string;
  /** What other workers have in the account's queue; absent for a run that is alone in it. */
  queue?: SharedQueue;
}

/** The parts of a submission for a run. */
export function submitParts(submission: Submission): SubmitParts {
  const { call, policy, ledger, client, identity, totals, price, reporter, signal } = submission;
  const { isGivenUp, giveUpCommand, collectCommand, queue } = submission;
  return {
    ledger,
    client,
    identity,
    reporter,
    isGivenUp: isGivenUp ?? ((): boolean => false),
    giveUpCommand,
    ...(collectCommand === undefined ? {} : { collectCommand }),
    waiting: waitingUntil(signal),
    affordable: affordability({ call, policy, price }, ledger, totals),
    ...(queue === undefined ? {} : { queue }),
  };
}
