/** The command that watches a run's batches, and whether there can be any. */

import { DEFAULT_REASONING_MODE } from '../models/reasoning.js';
import { UsageError } from '../lib/errors.js';
import { batchTermsOf } from '../models/endpoint.js';
import {
  DEFAULT_OUTPUT,
  MAXIMUM_BATCH_BYTES,
  MAXIMUM_BATCH_SIZE,
  type RunSettings,
} from '../run/settings.js';
import type { ModelCall } from '../models/call.js';
import { shownAddress } from '../http/address.js';
import { shellWord } from '../lib/text.js';

/** @throws UsageError where the annotator's provider has no Batch API */
export function requireBatches(call: ModelCall): void {
  const { provider, name } = call.annotator;
  if (batchTermsOf(call) !== null) return;
  throw new UsageError(
    `${provider.title} has no known Batch API, so ${name} cannot run in batches. Run it without --batch, or write ` +
      'the files for another tool with --batch_file_only.',
  );
}

/**
 * The command line that watches a run's batches, ready to paste.
 * @param batchIds the batches to name; none for those that the folder knows
 * @param more further flags
 */
export type WatchCommand = (batchIds?: readonly string[], more?: readonly string[]) => string;

export function watchCommandFor(settings: RunSettings): WatchCommand {
  return (batchIds = [], more = []) =>
    ['npx', 'watch-batch', ...namedBatches(batchIds), ...runFlags(settings), ...more]
      .map(shellWord)
      .join(' ');
}

/** The folder knows its own batches; an id with a comma or a space cannot be in a list. */
function namedBatches(ids: readonly string[]): string[] {
  return ids.length === 0 || ids.some((id) => /[\s,]/.test(id)) ? [] : ['--batch_ids', ids.join(',')];
}

/** The flags that lead to the run, as far as they are not the usual ones. */
function runFlags({ selection, call, output, policy, push }: RunSettings): string[] {
  const words = ['--dataset', selection.dataset, '--annotator', call.annotator.name];
  if (output.saveDir !== DEFAULT_OUTPUT.saveDir) words.push('--save_dir', output.saveDir);
  if (output.tempDir !== DEFAULT_OUTPUT.tempDir) words.push('--temp_dir', output.tempDir);
  if (output.runName !== null) words.push('--run_name', output.runName);
  const baseUrl = call.servers?.baseUrl ?? call.baseUrl;
  const keys = call.servers?.apiKeyVariables ?? call.apiKeyVariable;
  if (baseUrl !== null) words.push('--base_url', shownAddress(baseUrl));
  if (keys !== null) words.push('--api_key_env', keys);
  if (policy.maxBatchSize !== MAXIMUM_BATCH_SIZE) words.push('--max_batch_size', String(policy.maxBatchSize));
  if (policy.maxBatchBytes !== MAXIMUM_BATCH_BYTES)
    words.push('--max_batch_bytes', String(policy.maxBatchBytes));
  if (output.includeMetadata) words.push('--include_metadata');
  if (output.reasoning !== null && output.reasoning !== DEFAULT_REASONING_MODE)
    words.push('--reasoning', output.reasoning);
  if (output.select !== null) words.push('--select', output.select);
  if (output.check !== null) words.push('--check', output.check);
  if (output.formats.length > 1) words.push('--output_format', output.formats.join(','));
  if (push !== null) {
    words.push('--push_to_hub', push.repository);
    if (push.private) words.push('--private');
    if (push.yes) words.push('--yes');
  }
  return words;
}
