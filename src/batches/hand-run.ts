/**
 * Batches that the user runs: files of `--batch_file_only`, for `vllm run-batch`, SGLang, or an upload by hand. Nobody can
 * be asked about them, so their rows are held until their results are given, or they are given up.
 */

import { readBatch, type Batch } from './batch.js';
import type { Chunk } from './chunk.js';

const PREFIX = 'hand-run/';

/** The record of a batch that the user runs. */
export function handRunBatch(file: string, requests: number, at: number): Batch {
  const batch = readBatch({
    id: PREFIX + file,
    object: 'batch',
    endpoint: '/v1/chat/completions',
    status: 'in_progress',
    created_at: Math.floor(at / 1000),
    request_counts: { total: requests },
  });
  if (batch === null) throw new Error(`${file} cannot be the name of a batch`);
  return batch;
}

/** True for a chunk whose file was written for the user to run. */
export function isHandRun({ batch }: Pick<Chunk, 'batch'>): boolean {
  return batch?.id.startsWith(PREFIX) === true;
}
