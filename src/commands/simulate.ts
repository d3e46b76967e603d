/** `reannotate simulate`: the embedded simulator alone, to rehearse a run for free. */

import { UsageError } from '../lib/errors.js';
import { FlagReader, type RawFlags } from '../cli/options.js';
import { parseBatchFaults } from '../simulator/batch-faults.js';
import { parseFaults, parseHubFaults } from '../simulator/faults.js';
import { runSimulator } from '../simulator/run.js';

/** Serves until the signal aborts. */
export async function simulate(raw: RawFlags, signal: AbortSignal): Promise<void> {
  const flags = new FlagReader(raw);
  const faults = flags.text('fault');
  const hubFaults = flags.text('hub_fault');
  const batchFaults = flags.text('batch_fault');
  await runSimulator(
    {
      port: flags.integer('port', 0, 65_535) ?? 0,
      answersFile: flags.text('answers'),
      models: list(flags.text('model')),
      requestsPerMinute: flags.number('requests_per_minute', Number.MIN_VALUE),
      tokensPerMinute: flags.number('tokens_per_minute', Number.MIN_VALUE),
      tokenCharge: tokenCharge(flags.text('token_charge')),
      limitWindowMs: flags.number('limit_window_ms', 1) ?? undefined,
      limitHeaders: !flags.on('no_limit_headers'),
      latencyMs: flags.number('latency_ms', 0) ?? undefined,
      latencyJitterMs: flags.number('latency_jitter_ms', 0) ?? undefined,
      faults: faults === null ? undefined : parseFaults(faults),
      hubFaults: hubFaults === null ? undefined : parseHubFaults(hubFaults),
      batchValidationMs: flags.number('batch_validation_ms', 0) ?? undefined,
      batchDurationMs: flags.number('batch_duration_ms', 0) ?? undefined,
      enqueuedTokenLimit: flags.integer('enqueued_token_limit', 0),
      batchFaults: batchFaults === null ? undefined : parseBatchFaults(batchFaults),
      quotaAfter: flags.integer('quota_after', 0),
      seed: flags.integer('seed', 0) ?? undefined,
      datasets: pairs('dataset_file', flags.text('dataset_file')),
      parquet: pairs('parquet_file', flags.text('parquet_file')),
      hubUser: flags.text('hub_user') ?? undefined,
      gated: list(flags.text('gated')) ?? undefined,
    },
    (line) => process.stderr.write(`${line}\n`),
    signal,
  );
}

function tokenCharge(text: string | null): 'reserved' | 'used' | undefined {
  if (text === null) return undefined;
  if (text === 'reserved' || text === 'used') return text;
  throw new UsageError(`--token_charge takes reserved or used, not ${text.slice(0, 80)}.`);
}

function list(text: string | null): string[] | null {
  return text === null ? null : text.split(',');
}

function pairs(flag: string, text: string | null): Record<string, string> {
  return Object.fromEntries(
    (list(text) ?? []).map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 1) throw new UsageError(`--${flag} takes ID=PATH, not ${pair.slice(0, 80)}.`);
      return [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}
