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
    `No Batch API of ${provider.title} is known, so ${name} cannot run in batches. Run it without --batch, or write ` +
      'the files for another tool with --batch_file_only.',
  );
}

/** The command line that watches a run's batches, ready to paste. */
export function watchCommandLine(
  options: RunSettings,
  batchIds: readonly string[],
  more: readonly string[] = [],
): string {
  const words = ['npx', 'watch-batch'];
  // The folder knows its own batches; an id with a comma or a space cannot be in a list.
  if (batchIds.length > 0 && !batchIds.some((id) => /[\s,]/.test(id))) {
    words.push('--batch_ids', batchIds.join(','));
  }
  words.push('--dataset', options.selection.dataset, '--annotator', options.call.annotator.name);
  if (options.output.saveDir !== DEFAULT_OUTPUT.saveDir) words.push('--save_dir', options.output.saveDir);
  if (options.output.tempDir !== DEFAULT_OUTPUT.tempDir) words.push('--temp_dir', options.output.tempDir);
  if (options.output.runName !== null) words.push('--run_name', options.output.runName);
  const baseUrl = options.call.servers?.baseUrl ?? options.call.baseUrl;
  const keys = options.call.servers?.apiKeyVariables ?? options.call.apiKeyVariable;
  if (baseUrl !== null) words.push('--base_url', shownAddress(baseUrl));
  if (keys !== null) words.push('--api_key_env', keys);
  if (options.policy.maxBatchSize !== MAXIMUM_BATCH_SIZE)
    words.push('--max_batch_size', String(options.policy.maxBatchSize));
  if (options.policy.maxBatchBytes !== MAXIMUM_BATCH_BYTES)
    words.push('--max_batch_bytes', String(options.policy.maxBatchBytes));
  if (options.output.includeMetadata) words.push('--include_metadata');
  if (options.output.reasoning !== null && options.output.reasoning !== DEFAULT_REASONING_MODE)
    words.push('--reasoning', options.output.reasoning);
  if (options.output.select !== null) words.push('--select', options.output.select);
  if (options.output.check !== null) words.push('--check', options.output.check);
  if (options.output.formats.length > 1) words.push('--output_format', options.output.formats.join(','));
  if (options.push !== null) {
    words.push('--push_to_hub', options.push.repository);
    if (options.push.private) words.push('--private');
    if (options.push.yes) words.push('--yes');
  }
  return [...words, ...more].map(shellWord).join(' ');
}
