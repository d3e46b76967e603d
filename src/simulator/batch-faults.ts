/** What can go wrong with batches: planned batch by batch, or drawn from a seed as the faults of chat requests are. */

import { hashOf } from './answers.js';
import { draw, parseShares, pickFault } from './faults.js';
import { ApiError } from './http.js';

/** What can go wrong with a batch. */
export const BATCH_FAULTS = {
  expire: 'it expires with half of its requests done',
  row_errors: '5 % of its requests, at least one, end in the error file with status 500',
  row_refused: '5 % of its requests, at least one, end in the error file with status 400',
  status_zero: '5 % of its requests, at least one, end in the error file with status 0 and an empty body',
  null_error_missing: 'lines have no field error where it would be null',
  lying_counts: 'request_counts say that every request is completed, from the beginning',
  no_output: 'it completes without an output file; every request ends in the error file with status 500',
  validation: 'it fails: its second line (or the only one) is said to be no JSON',
  queue: 'it fails: the limit of enqueued tokens is said to be reached',
  hang_create: 'it is made, but the answer to its creation never comes',
  error_create: 'it is made, but its creation is answered with a 500',
  refuse_create: 'its creation is answered with a 400, and nothing is made',
  busy_create: 'its creation is answered with a 429 the first time, and nothing is made',
  full_create:
    'the first time, its creation is answered with a 429 because the queue is full, and nothing is made',
  stuck: 'it stays at half of its requests until it is cancelled',
  cut_download: 'the first download of each of its files is cut in the middle, and so is each range once',
  duplicate_line: 'one line of the output file is there twice',
  foreign_line: 'the output file has a line more, with the custom_id foreign-1',
  torn_line: 'one line of the output file is cut in the middle',
  lost_line: 'one line of the output file is missing, although request_counts have its request completed',
  long_ids: 'it and its files have ids of 330 characters, with slashes and signs',
  absent_once: 'the first time that it is asked for, it is said not to exist',
  page_once: 'the first time that it is asked for, the answer is a page',
  refused_once: 'the first time that it is asked for, the answer is a 400',
  forbidden_once: 'the first time that it is asked for, the answer is a 403',
  redirected_once: 'the first time that it is asked for, the answer is a redirect to a page',
  late_files: 'it names its files only after it was asked for six times since its end',
  late_output: 'it names its output file only after it was asked for six times since its end',
  unreadable_entry: 'the list of batches has it without its id',
  unlisted: 'the list of batches does not have it',
  unreadable_create: 'it is made, and the answer to its creation is a page',
  file_absent: 'the first download of each of its files is answered with a 404',
  file_empty: 'the first download of each of its files is empty',
  file_page: 'the first download of each of its files is a page',
  file_error: 'the first download of each of its files is an error object with status 200',
  file_other: 'the first download of each of its files has a line of another batch',
  file_short: 'the first download of each of its files lacks the last line',
} as const;
export type BatchFault = keyof typeof BATCH_FAULTS;
export type BatchFaultShares = Readonly<Partial<Record<BatchFault, number>>>;

/**
 * Reads faults of batches as the command line has them: `expire=0.1,row_errors=0.2`.
 * @throws UsageError that names the known faults
 */
export function parseBatchFaults(text: string): BatchFaultShares {
  return parseShares(text, BATCH_FAULTS);
}

/** What is sent in place of a batch the first time that it is asked for. */
export type ReadFault = 'absent' | 'page' | 'refused' | 'forbidden' | 'redirected';

/** What the first request for a batch gets in its place; null for the batch. */
export function readFault(faults: ReadonlySet<BatchFault>): ReadFault | null {
  for (const fault of ['absent', 'page', 'refused', 'forbidden', 'redirected'] as const) {
    if (faults.has(`${fault}_once`)) return fault;
  }
  return null;
}

/** What is sent for the first download of a file in place of its content. */
export type DownloadFault = 'absent' | 'empty' | 'page' | 'error' | 'other' | 'short';

/** The fault of a batch's files; null for none. */
export function downloadFault(faults: ReadonlySet<BatchFault>): DownloadFault | null {
  for (const fault of ['absent', 'empty', 'page', 'error', 'other', 'short'] as const) {
    if (faults.has(`file_${fault}`)) return fault;
  }
  return null;
}

/** Keeps the draws of faults and of the order of lines apart. */
const FAULT_DRAW = 0;
const ORDER_DRAW = 1;

/**
 * The faults of a batch: those of its plan; without a plan the one that is drawn, or none.
 * @param number how many batches were created before
 */
export function faultsOfBatch(
  settings: {
    seed: number;
    batchFaults: BatchFaultShares;
    batchPlans: readonly (readonly BatchFault[])[];
  },
  number: number,
): ReadonlySet<BatchFault> {
  const plan = settings.batchPlans[number];
  if (plan !== undefined) return new Set(plan);
  const drawn = pickFault(settings.batchFaults, draw(settings.seed, hashOf('batch'), number, FAULT_DRAW));
  return new Set(drawn === null ? [] : [drawn]);
}

/** The order in which a batch answers its rows, which is the order of its output, too: never that of the input. */
export function orderOfRows(seed: number, number: number, total: number): Uint32Array {
  const order = Uint32Array.from({ length: total }, (_, index) => index);
  const key = hashOf(`batch ${number}`);
  for (let last = total - 1; last > 0; last--) {
    const other = Math.floor(draw(seed, key, last, ORDER_DRAW) * (last + 1));
    const kept = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = kept;
  }
  return order;
}

/** What a row of the error file says of its request. */
export interface RowFailure {
  status: number;
  body: unknown;
}

const SERVER_ERROR: RowFailure = {
  status: 500,
  body: new ApiError(500, 'The server had an error while processing your request. Sorry about that!', {
    type: 'server_error',
  }).body,
};

const ROW_FAULTS: Readonly<Partial<Record<BatchFault, RowFailure>>> = {
  row_errors: SERVER_ERROR,
  row_refused: {
    status: 400,
    body: new ApiError(
      400,
      "This model's maximum context length is 128000 tokens. Please reduce the length of the messages.",
      {
        code: 'context_length_exceeded',
      },
    ).body,
  },
  status_zero: { status: 0, body: '' },
};
const ROW_SHARE = 0.05;

/**
 * How requests of a batch fail, by their place in its order. The order is drawn for each batch, so another batch
 * with the same rows has other failures; each kind is spread evenly, so that half a batch has half of them.
 */
export function rowFailures(
  faults: ReadonlySet<BatchFault>,
  total: number,
): (place: number) => RowFailure | null {
  if (faults.has('no_output')) return () => SERVER_ERROR;
  const failures = new Map<number, RowFailure>();
  const count = Math.max(1, Math.round(total * ROW_SHARE));
  for (const fault of faults) {
    const failure = ROW_FAULTS[fault];
    if (failure === undefined) continue;
    for (let index = 0; index < count && failures.size < total; index++) {
      let place = Math.floor((index * total) / count);
      while (failures.has(place)) place = (place + 1) % total;
      failures.set(place, failure);
    }
  }
  return (place) => failures.get(place) ?? null;
}
