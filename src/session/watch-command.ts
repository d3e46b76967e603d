/** The command that watches a run's batches, and whether there can be any. */

import { DEFAULT_REASONING_MODE } from '../models/reasoning.js';
import { UsageError } from '../lib/errors.js';
import {
  DEFAULT_SAVE_DIR,
  DEFAULT_TEMP_DIR,
  MAXIMUM_BATCH_BYTES,
  MAXIMUM_BATCH_SIZE,
  type RunOptions,
} from '../cli/options.js';
import { shownAddress } from '../http/address.js';
import { shellWord } from '../lib/text.js';

/** @throws UsageError where the annotator's provider has no Batch API */
export function requireBatches(options: RunOptions): void {
  const { provider, name } = options.annotator;
  if (provider.batches) return;
  throw new UsageError(
    `${provider.title} has no Batch API, so ${name} can't be asked in batches; run it without --batch.`,
  );
}

/** The command line that watches a run's batches, ready to paste. */
export function watchCommandLine(
  options: RunOptions,
  batchIds: readonly string[],
  more: readonly string[] = [],
): string {
  const words = ['npx', 'watch-batch'];
  // The folder knows its own batches; an id with a comma or a space cannot be in a list.
  if (batchIds.length > 0 && !batchIds.some((id) => /[\s,]/.test(id))) {
    words.push('--batch_ids', batchIds.join(','));
  }
  words.push('--dataset', options.dataset, '--annotator', options.annotator.name);
  if (options.saveDir !== DEFAULT_SAVE_DIR) words.push('--save_dir', options.saveDir);
  if (options.tempDir !== DEFAULT_TEMP_DIR) words.push('--temp_dir', options.tempDir);
  if (options.runName !== null) words.push('--run_name', options.runName);
  if (options.baseUrl !== null) words.push('--base_url', shownAddress(options.baseUrl));
  if (options.apiKeyVariable !== null) words.push('--api_key_env', options.apiKeyVariable);
  if (options.maxBatchSize !== MAXIMUM_BATCH_SIZE)
    words.push('--max_batch_size', String(options.maxBatchSize));
  if (options.maxBatchBytes !== MAXIMUM_BATCH_BYTES)
    words.push('--max_batch_bytes', String(options.maxBatchBytes));
  if (options.includeMetadata) words.push('--include_metadata');
  if (options.reasoning !== null && options.reasoning !== DEFAULT_REASONING_MODE)
    words.push('--reasoning', options.reasoning);
  if (options.outputFormats.length > 1) words.push('--output_format', options.outputFormats.join(','));
  if (options.push !== null) {
    words.push('--push_to_hub', options.push.repository);
    if (options.push.private) words.push('--private');
    if (options.push.yes) words.push('--yes');
  }
  return [...words, ...more].map(shellWord).join(' ');
}
