/**
 * The package as a library: what the two commands do, for programs. The options are the flags of the commands, and
 * `docs/library.md` has examples.
 */

export { TemporaryError, UsageError, UserError } from '../lib/errors.js';
export type { Summary } from '../run/summary.js';
export type { Progress } from '../session/progress.js';
export type { RowState } from '../types.js';
export type { RunEvent } from './events.js';
export { RunInterrupted } from './interrupted.js';
export type { RequestOptions, RunOptions, WatchBatchOptions } from './options.js';
export {
  processRequests,
  type ChatRequest,
  type RequestContext,
  type RequestCounts,
  type RequestResult,
} from './requests.js';
export { reannotate, watchBatch, type Run, type RunContext, type RunResult } from './run.js';
