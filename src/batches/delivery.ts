/**
 * Whether an ended batch has delivered all that it says it did. What is missing is explained, or it is waited for:
 * files are named late, downloads answer 404 or with a page, and counts run ahead of the lines.
 */

import { plural } from '../lib/text.js';
import type { Batch } from './batch.js';

/** What came of one of the two files: `foreign` is a page, an error object or anything else without a result line. */
export type FileState = 'unnamed' | 'read' | 'empty' | 'missing' | 'foreign' | 'too_large';

/** What there is of an ended batch. */
export interface Delivery {
  /** Requests that were submitted; 0 where that is not known. */
  requests: number;
  /** Requests with a line in one of the files. */
  accounted: number;
  /** Lines that could not be read. */
  damaged: number;
  /** Lines of the output file, whether readable or not. */
  outputLines: number;
  files: Readonly<Record<'output' | 'error', FileState>>;
}

/**
 * How long something that may be late is waited for. Both numbers have to be reached: `times` keeps a slow poll from
 * deciding on one answer, `overMs` a fast one.
 */
export interface Patience {
  times: number;
  overMs: number;
}

/** For what the batch says it has. `completed` has been seen to come minutes before its files (BerriAI/litellm#37713). */
export const LONG: Patience = { times: 5, overMs: 10 * 60_000 };
/** For what the batch does not claim, but others have had a moment later. */
export const BRIEF: Patience = { times: 3, overMs: 2 * 60_000 };
const NONE: Patience = { times: 0, overMs: 0 };

export type Assessment =
  | { kind: 'complete' }
  | {
      kind: 'incomplete';
      why: string;
      patience: Patience;
      /** What it is taken for once patience ends: `collected` where the batch itself claims no more. */
      then: 'collected' | 'short';
    };

const COMPLETE: Assessment = { kind: 'complete' };

/** Judges a delivery; a table of cases is in `test/batches/delivery.test.ts`. */
export function assess(batch: Batch, delivery: Delivery): Assessment {
  const { requests, accounted, damaged, files } = delivery;
  const lines = accounted + damaged;
  if (requests > 0 && lines >= requests) return COMPLETE;
  const hasFiles = files.output !== 'unnamed' || files.error !== 'unnamed';
  if (batch.status === 'failed' && !hasFiles && batch.counts.completed === 0) return COMPLETE;
  return assessFiles(batch, delivery) ?? (hasFiles ? assessLines(batch, delivery) : assessNothing(batch));
}

/** A file that the batch names and that could not be had. */
function assessFiles(batch: Batch, { files }: Delivery): Assessment | null {
  for (const kind of ['output', 'error'] as const) {
    const state = files[kind];
    if (state === 'unnamed' || state === 'read') continue;
    const claimed = kind === 'output' ? batch.counts.completed : batch.counts.failed;
    const isPlausible = state === 'empty' && batch.hasCounts && claimed === 0;
    return {
      kind: 'incomplete',
      why: `its ${kind} file ${FILE_PROBLEMS[state]}`,
      patience: state === 'too_large' ? NONE : isPlausible ? BRIEF : LONG,
      then: isPlausible ? 'collected' : 'short',
    };
  }
  return null;
}

const FILE_PROBLEMS: Readonly<Record<Exclude<FileState, 'unnamed' | 'read'>, string>> = {
  empty: 'is empty',
  missing: 'is not there',
  foreign: 'contains a web page, an error or something else instead of results',
  too_large: 'is far larger than the answers can be',
};

/** No file is named. */
function assessNothing({ status, hasCounts, counts }: Batch): Assessment {
  const why = 'it names no result file';
  if (counts.completed > 0) return { kind: 'incomplete', why, patience: LONG, then: 'short' };
  if (status === 'completed') {
    // Without a word about failures it must have completed something.
    const then = hasCounts && counts.failed > 0 ? 'collected' : 'short';
    return { kind: 'incomplete', why, patience: LONG, then };
  }
  return hasCounts
    ? { kind: 'incomplete', why, patience: BRIEF, then: 'collected' }
    : { kind: 'incomplete', why, patience: LONG, then: 'short' };
}

/** There are lines, but fewer than requests. */
function assessLines(
  { status, hasCounts, counts }: Batch,
  { requests, accounted, damaged, outputLines, files }: Delivery,
): Assessment {
  const lines = accounted + damaged;
  const most = requests > 0 ? requests : Infinity;
  const completed = Math.min(most, counts.completed);
  const claimed = Math.min(most, counts.completed + counts.failed);
  if (hasCounts && outputLines < completed && lines < claimed) {
    const arrived = plural(outputLines, 'answer has', 'answers have');
    const why = `it says that ${plural(completed, 'request')} completed, and ${arrived} arrived`;
    return { kind: 'incomplete', why, patience: LONG, then: 'short' };
  }
  if (requests === 0) return COMPLETE;
  const why = `${plural(requests - lines, 'request has', 'requests have')} no line in its files`;
  if (status === 'completed' && !hasCounts) return { kind: 'incomplete', why, patience: LONG, then: 'short' };
  const isFileMissing = files.output === 'unnamed' || files.error === 'unnamed';
  const mayFollow = isFileMissing && (status === 'completed' || lines < claimed || !hasCounts);
  return mayFollow ? { kind: 'incomplete', why, patience: BRIEF, then: 'collected' } : COMPLETE;
}
