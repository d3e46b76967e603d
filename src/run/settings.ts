/** What a run is to do, as values; how they are given (flags, a file, code) is not known here. */

import type { DatasetSelection } from '../datasets/selection.js';
import type { OutputFormat } from '../exports/index.js';
import type { Hours } from '../models/hours.js';
import type { CallEnvironment, ModelCall } from '../models/call.js';
import type { ReasoningMode } from '../models/reasoning.js';
import type { Selection } from '../models/select-answer.js';
import type { LogLevel } from '../terminal/log.js';
import type { RunPlace } from './folder.js';
import type { HubEnvironment, RetriableState } from '../types.js';

export const MAXIMUM_BATCH_SIZE = 50_000;
export const MAXIMUM_BATCH_BYTES = 200_000_000;

/** Where results go, and what is in them. */
export interface Output {
  saveDir: string;
  tempDir: string;
  /** Another name for the run's folders; null for the one built from dataset and annotator. */
  runName: string | null;
  /** What the results are written as; `json` is always among them. */
  formats: readonly OutputFormat[];
  includeMetadata: boolean;
  /** Where reasoning goes; null where the run's own record decides, and otherwise it is `separate`. */
  reasoning: ReasoningMode | null;
  /** Which of several answers is the annotation; null where the run's own record decides. */
  select: Selection | null;
  /** The annotator that chooses where `select` is `judge`; null for the usual one. */
  judge: string | null;
  /** What new answers are compared with the old ones by; null for nothing. */
  check: Check | null;
  /**
   * A file of reviewed rows, for the output formats. Null where the run's own record decides; empty for none, whatever
   * that says.
   */
  review: string | null;
  /** Which rows the output formats leave out, as `--drop` takes them; null where the run's own record decides. */
  drop: readonly string[] | null;
  /** Files of evaluation sets whose prompts are kept out of the output formats; null where the record decides. */
  decontaminate: readonly string[] | null;
  /** The column of these with the prompt; null where it is detected. */
  decontaminateColumn: string | null;
}

/** What `--check` takes. */
export const CHECKS = ['answer'] as const;
export type Check = (typeof CHECKS)[number];

export const DEFAULT_OUTPUT: Output = {
  saveDir: 'datasets/reannotated',
  tempDir: 'datasets/temp',
  runName: null,
  formats: ['json'],
  includeMetadata: false,
  reasoning: null,
  select: null,
  judge: null,
  check: null,
  review: null,
  drop: null,
  decontaminate: null,
  decontaminateColumn: null,
};

/** Another annotator, which is sent the rows that the run's own one refuses. */
export interface Fallback {
  /** As `--annotator` takes it. */
  annotator: string;
  /** Null for its provider's, or that of a run whose annotator has the same provider. May hold a password or key. */
  baseUrl: string | null;
  /** The environment variable that holds its key; null for the usual one. */
  apiKeyVariable: string | null;
}

/** What a run may do: to an earlier one, again, and for how much. */
export interface RunPolicy {
  /** What to do about the files of an earlier run of this name. */
  earlier: 'refuse' | 'resume' | 'resume_no_retry' | 'overwrite';
  /** States whose rows are sent again; rows without an answer are sent in any case. */
  retry: readonly RetriableState[];
  /** US dollars; null for no limit. */
  maxCost: number | null;
  /** Hours at which requests are sent: those that the price table lists as cheaper, or the user's own; null for all. */
  offPeak: Hours | 'auto' | null;
  /** Folders of earlier runs whose answers to the same requests are taken over. */
  reuse: readonly string[];
  /** True where rows with the same request share one answer. */
  dedupe: boolean;
  /** Truncated rows are sent again with this many times `max_tokens`; null to leave them. */
  escalateTruncated: number | null;
  /** Rows whose final answer is not the original's are sent this many more times; null to leave them. */
  checkRetry: number | null;
  /** Gets refused and filtered rows; `none` where a resumed run is to have none, null where its record decides. */
  fallback: Fallback | 'none' | null;
  /** True for the Batch API, false for single requests. */
  batch: boolean;
  /** True where the files of a batch are written for the user to run, and nothing is sent. */
  batchFileOnly: boolean;
  /** Requests in one batch file. */
  maxBatchSize: number;
  /** Bytes in one batch file. */
  maxBatchBytes: number;
}

/** True where the files of an earlier run are continued. */
export function isResuming({ earlier }: Pick<RunPolicy, 'earlier'>): boolean {
  return earlier === 'resume' || earlier === 'resume_no_retry';
}

export const DEFAULT_POLICY: RunPolicy = {
  earlier: 'refuse',
  retry: ['failed'],
  maxCost: null,
  offPeak: null,
  reuse: [],
  dedupe: false,
  escalateTruncated: null,
  checkRetry: null,
  fallback: null,
  batch: false,
  batchFileOnly: false,
  maxBatchSize: MAXIMUM_BATCH_SIZE,
  maxBatchBytes: MAXIMUM_BATCH_BYTES,
};

/** A push of the results to the Hub. */
export interface Push {
  /** `USER/NAME` on the Hub. */
  repository: string;
  private: boolean;
  /** True where files that are there may be replaced. */
  yes: boolean;
  /** True to push texts that look like keys as well. */
  allowSecrets: boolean;
}

/** What is taken from the environment. */
export interface Environment extends CallEnvironment {
  hub: HubEnvironment;
}

export interface RunSettings {
  selection: DatasetSelection;
  call: ModelCall;
  output: Output;
  policy: RunPolicy;
  /** Null where the results stay here. */
  push: Push | null;
  /** A command of the user's own that is run when the run is over or needs attention; null for none. */
  notify: string | null;
  /** Of the run's `output.log`. */
  loggingLevel: LogLevel;
  environment: Environment;
  /**
   * Every setting by the name of its flag, for `config.yaml`; empty where no flags were given. What the other values
   * say of a setting counts for more.
   */
  recorded: Readonly<Record<string, unknown>>;
}

/** What decides where a run's folders are. */
export function placeOf({ selection, call, output }: RunSettings): RunPlace {
  const { saveDir, tempDir, runName } = output;
  return { saveDir, tempDir, dataset: selection.dataset, annotator: call.annotator.name, runName };
}
