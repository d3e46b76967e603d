/** What `watch-batch` is to do. */

import type { RunSettings } from '../run/settings.js';

/** Seconds. */
export const DEFAULT_CHECK_INTERVAL_S = 60;
/** Not even a test should poll without a pause. */
const LEAST_INTERVAL_MS = 20;
export const DEFAULT_OUTPUT_FILE = 'batch_results.jsonl';
export const DEFAULT_ERROR_FILE = 'batch_errors.jsonl';

export interface WatchOptions {
  /** The run; the settings that it was started with replace these if the run is known. */
  run: RunSettings;
  /** Null where the run's own record says which batches there are. */
  batchIds: readonly string[] | null;
  batchObjectsFile: string | null;
  /** Milliseconds. */
  checkInterval: number;
  /** Where the raw lines of all results go; null for nowhere. */
  outputFile: string | null;
  errorFile: string | null;
  /** What to do about rows that have no answer in the end. */
  then: 'stop' | 'retry_failed' | 'finish_online';
  serviceTier: 'flex' | null;
  recover: boolean;
  /** Files of results in OpenAI's format, to be taken in without any API; null for none. */
  results: readonly string[] | null;
  /** Batches (or batch files whose creation stayed in doubt) of which nothing more is expected. */
  giveUp: readonly string[];
  graph: boolean;
  cancel: boolean;
  /** True to cancel without asking. */
  yes: boolean;
}

/** Milliseconds between two polls. */
export function checkInterval(seconds: number): number {
  return Math.max(LEAST_INTERVAL_MS, seconds * 1000);
}
