/** A run that is about to end, as what writes and publishes its results sees it. */

import type { DroppedRows } from '../exports/dropped-rows.js';
import type { Results, ResultShape } from '../exports/exporter.js';
import { readReview, type Review } from '../exports/review.js';
import type { ModelCall } from '../models/call.js';
import type { Output, RunPolicy } from '../run/settings.js';
import type { RetriableState } from '../types.js';
import type { Stop } from '../requests/processor.js';
import type { ConfigFile } from '../run/config.js';
import type { AssembleOptions } from '../run/assemble.js';
import type { OptionalKeys } from '../run/assembled.js';
import { fallbackOf } from '../run/fallback.js';
import type { RunFolder } from '../run/folder.js';
import type { PreparedRun } from '../run/prepare.js';
import type { SessionFigures, Summary } from '../run/summary.js';
import type { Totals } from '../run/totals.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { hasSeveral } from '../models/generation.js';
import { DEFAULT_REASONING_MODE } from '../models/reasoning.js';
import { DEFAULT_SELECTION } from '../models/select-answer.js';

/** What takes a run's results elsewhere once they are written. */
export interface Publisher {
  /** @throws UserError where that fails; the results are safe */
  publish(finished: FinishedRun, summary: Summary): Promise<void>;
}

/** The commands that the last message of a run names. */
export interface NextCommands {
  /** Sends rows in these states again. */
  retry: (states: readonly RetriableState[]) => string;
  /** Continues under another `--max_cost`. */
  raise: (maxCost: number) => string;
  /** Resumes with a flag that sends rows once more; null where this run cannot have it. */
  sendAgain: (flag: 'fallback_annotator' | 'escalate_truncated', value: string) => string | null;
}

/** A run whose answers are in the journal. */
export interface FinishedRun {
  call: ModelCall;
  output: Output;
  policy: Pick<RunPolicy, 'maxCost' | 'escalateTruncated' | 'fallback'>;
  folder: RunFolder;
  run: Pick<PreparedRun, 'identity' | 'rows'>;
  totals: Totals;
  config: ConfigFile;
  mode: Summary['mode'];
  /** What this session did, for the summary on the terminal. */
  session: SessionFigures;
  /** Why asking stopped before its end; null where it did not. */
  stop: Stop | null;
  /** How to retry rows that failed or were not sent, as a sentence with a command. */
  tryAgain: string;
  commands: NextCommands;
  /** US dollars that the next request would have needed where `--max_cost` ended the run. */
  needed?: number | null;
  /** The folders of the results where they are in parts instead of `reannotated.json`. */
  partFolders?: readonly string[];
  /** Known once the results are written. */
  keys?: OptionalKeys;
  /** Rows that the output formats leave out; known once the results are written, absent where none are. */
  dropped?: DroppedRows | null;
  /** What a judge cost that chose among several answers; absent where none did. */
  selection?: Summary['selection'];
  /** Null where the results stay here. */
  publisher: Publisher | null;
}

/** How answers become rows of results, whether one run gave them or the shards of a plan. */
export function assemblyOf(
  { output, call, policy }: Pick<FinishedRun, 'output' | 'call' | 'policy'>,
  rules: AnswerRules,
): Omit<AssembleOptions, 'onProgress' | 'check'> {
  return {
    includeMetadata: output.includeMetadata,
    several: hasSeveral(call.generation),
    select: output.select ?? DEFAULT_SELECTION,
    annotator: fallbackOf(policy) === null ? null : call.annotator.name,
    comparesAnswers: output.check === 'answer',
    reasoning: output.reasoning ?? DEFAULT_REASONING_MODE,
    rules,
    redactor: call.environment.redactor,
  };
}

/**
 * What a reader decided about the rows; null where nothing was.
 * @throws UserError if the file is missing, or is about another run
 */
export function reviewFor({ output, config }: Pick<FinishedRun, 'output' | 'config'>): Review | null {
  const { review } = output;
  return review === null || review === '' ? null : readReview(review, config.uuid);
}

/**
 * The complete results of a run, as its exports and its push read them.
 * @throws UserError as `reviewFor`
 */
export function resultsOf(finished: FinishedRun): Omit<Results, 'onProgress'> {
  return {
    path: finished.folder.reannotated,
    shape: resultShape(finished),
    review: reviewFor(finished),
    dropped: finished.dropped ?? null,
  };
}

/** What the rows of a run hold besides prompt and answers. */
export function resultShape({
  call,
  output,
  keys = { chats: false, tools: false, images: false, source: false, reasoning: false },
}: Pick<FinishedRun, 'call' | 'output' | 'keys'>): ResultShape {
  return {
    several: hasSeveral(call.generation),
    metadata: output.includeMetadata,
    compared: output.check === 'answer',
    ...keys,
  };
}
