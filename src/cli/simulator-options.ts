/** The flags of `simulate`, made into values. */

import { UsageError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import { parseBatchFaults } from '../simulator/batch-faults.js';
import { parseFaults, parseHubFaults } from '../simulator/faults.js';
import type { SimulatorOptions } from '../simulator/options.js';
import type { Parsed } from './flags/parse.js';

/** @throws UsageError that names the flag */
export function simulatorOptions({ values }: Parsed<'simulate'>): SimulatorOptions {
  const { fault, hub_fault: hubFault, batch_fault: batchFault } = values;
  return {
    port: values.port,
    answersFile: values.answers,
    reasoning: values.reasoning,
    severalAnswers: values.several_answers,
    models: listOf(values.model),
    requestsPerMinute: values.requests_per_minute,
    tokensPerMinute: values.tokens_per_minute,
    tokenCharge: values.token_charge,
    limitWindowMs: values.limit_window_ms,
    requestsAtATime: values.requests_at_a_time,
    limitHeaders: !values.no_limit_headers,
    latencyMs: values.latency_ms,
    latencyJitterMs: values.latency_jitter_ms,
    faults: fault === null ? undefined : parseFaults(fault),
    refusals: sharesOf('--refuses', values.refuses),
    hubFaults: hubFault === null ? undefined : parseHubFaults(hubFault),
    batchFaults: batchFault === null ? undefined : parseBatchFaults(batchFault),
    batchValidationMs: values.batch_validation_ms,
    batchDurationMs: values.batch_duration_ms,
    enqueuedTokenLimit: values.enqueued_token_limit,
    quotaAfter: values.quota_after,
    seed: values.seed,
    datasets: pairsOf('--dataset_file', values.dataset_file),
    parquet: pairsOf('--parquet_file', values.parquet_file),
    hubUser: values.hub_user,
    gated: listOf(values.gated) ?? undefined,
  };
}

function listOf(text: string | null): string[] | null {
  return text === null ? null : text.split(',');
}

/** @throws UsageError where a share is no number from 0 to 1 */
function sharesOf(flag: string, text: string | null): Record<string, number> {
  const pairs = (listOf(text) ?? []).map((pair): [string, number] => {
    const equals = pair.lastIndexOf('=');
    const share = equals < 1 ? Number.NaN : Number(pair.slice(equals + 1));
    if (!(share >= 0 && share <= 1))
      throw new UsageError(`${flag} takes MODEL=SHARE with a share from 0 to 1, not ${sanitize(pair, 80)}.`);
    return [pair.slice(0, equals), share];
  });
  return Object.fromEntries(pairs);
}

function pairsOf(flag: string, text: string | null): Record<string, string> {
  return Object.fromEntries(
    (listOf(text) ?? []).map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 1) throw new UsageError(`${flag} takes ID=PATH, not ${sanitize(pair, 80)}.`);
      return [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}
