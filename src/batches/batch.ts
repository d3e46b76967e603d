/** What a Batch object says. It is untrusted, or from a file that may have been edited, so it is checked. */

import { createHash } from 'node:crypto';
import type { Batch as ApiBatch } from 'openai/resources/batches';
import { isObject } from '../lib/json.js';
import { isId } from './id.js';
import { count, sanitize, plural } from '../lib/text.js';

/** @see https://platform.openai.com/docs/api-reference/batch/object */
export type BatchStatus = ApiBatch['status'];

/** A Batch object with the fields that this program reads; `raw` is the object as it came. */
export interface Batch {
  id: string;
  status: string;
  inputFileId: string | null;
  outputFileId: string | null;
  errorFileId: string | null;
  /** Seconds since 1970. */
  createdAt: number;
  /** Seconds since 1970; null while requests are not yet worked on. */
  inProgressAt: number | null;
  /** Seconds since 1970; null until the batch ends. */
  endedAt: number | null;
  /** False where the API gives no counts, so that they are all 0. */
  hasCounts: boolean;
  /** As the API gives them: shown, and a reason to wait where more lines should be there. */
  counts: { total: number; completed: number; failed: number };
  errors: { code: string; message: string; line: number | null }[];
  metadata: Readonly<Record<string, string>>;
  raw: Record<string, unknown>;
}

const ENDED: ReadonlySet<string> = new Set<BatchStatus>(['completed', 'failed', 'expired', 'cancelled']);
/** How many reasons of a failed batch are shown. */
const ERRORS_SHOWN = 3;
/** A time beyond this many seconds (the year 5138) is in milliseconds. */
const LATEST_SECONDS = 1e11;

/**
 * Other names for OpenAI's statuses, in lower case: Together writes them in upper case, Novita `PROGRESS`; Mistral's
 * (docs.mistral.ai/capabilities/batch); Gemini's `JOB_STATE_…` and `BATCH_STATE_…` (@google/genai); Fireworks'
 * (docs.fireworks.ai/guides/batch-inference).
 */
const STATUS_NAMES: Readonly<Record<string, BatchStatus>> = {
  queued: 'validating',
  progress: 'in_progress',
  running: 'in_progress',
  creating: 'validating',
  pending: 'validating',
  paused: 'in_progress',
  success: 'completed',
  succeeded: 'completed',
  partially_succeeded: 'completed',
  timeout_exceeded: 'expired',
  cancellation_requested: 'cancelling',
  canceling: 'cancelling',
  canceled: 'cancelled',
};

/** A short name for an id: what files are named by. */
export function idDigest(...ids: readonly string[]): string {
  return createHash('sha256').update(ids.join('\n')).digest('hex').slice(0, 24);
}

/** Reads a Batch object; null where it is none. Together wraps a new one in `{job}`. */
export function readBatch(value: unknown): Batch | null {
  if (!isObject(value)) return null;
  if (value['id'] === undefined && isObject(value['job'])) return readBatch(value['job']);
  const { id, status, metadata } = value;
  if (typeof id !== 'string' || !isId(id) || typeof status !== 'string') return null;
  const counts = isObject(value['request_counts']) ? value['request_counts'] : null;
  const ends = ['completed_at', 'failed_at', 'expired_at', 'cancelled_at'].map((name) =>
    secondsOf(value[name]),
  );
  const named = status
    .trim()
    .toLowerCase()
    .replace(/^(?:job|batch)_state_/, '');
  return {
    id,
    status: STATUS_NAMES[named] ?? named,
    inputFileId: fileId(value['input_file_id']),
    outputFileId: fileId(value['output_file_id']),
    errorFileId: fileId(value['error_file_id']),
    createdAt: secondsOf(value['created_at']) ?? 0,
    inProgressAt: secondsOf(value['in_progress_at']),
    endedAt: ends.find((end) => end !== null) ?? null,
    hasCounts: counts !== null && typeof counts['completed'] === 'number',
    counts: {
      total: wholeNumber(counts?.['total']),
      completed: wholeNumber(counts?.['completed']),
      failed: wholeNumber(counts?.['failed']),
    },
    errors: readErrors(value['errors'] ?? value['error']),
    metadata: isObject(metadata) ? texts(metadata) : {},
    raw: value,
  };
}

function fileId(value: unknown): string | null {
  return typeof value === 'string' && isId(value) ? value : null;
}

function wholeNumber(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

/** A time as an API gives it, in seconds since 1970: seconds, with some servers milliseconds or ISO 8601. */
export function secondsOf(value: unknown): number | null {
  const number = typeof value === 'string' ? Date.parse(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number) || number < 0) return null;
  return typeof value === 'string' || number > LATEST_SECONDS ? Math.floor(number / 1000) : number;
}

function texts(metadata: Record<string, unknown>): Record<string, string> {
  const entries = Object.entries(metadata).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return Object.assign(Object.create(null) as Record<string, string>, Object.fromEntries(entries));
}

function readErrors(errors: unknown): Batch['errors'] {
  // Together has one text.
  if (typeof errors === 'string' && errors !== '') return [{ code: '', message: errors, line: null }];
  const data: unknown = isObject(errors) ? errors['data'] : errors;
  if (!Array.isArray(data)) return [];
  return data
    .filter(isObject)
    .slice(0, 100_000)
    .map(({ code, message, line }) => ({
      code: typeof code === 'string' ? code : '',
      message: typeof message === 'string' ? message : '',
      line: typeof line === 'number' && Number.isSafeInteger(line) && line > 0 ? line : null,
    }));
}

/** True where nothing more will happen to a batch. An unknown status counts as one of a batch that still runs. */
export function hasEnded(batch: Batch): boolean {
  return ENDED.has(batch.status);
}

/** True where a batch was refused because too many tokens were enqueued already: it can be submitted later. */
export function isQueueRefusal(batch: Batch): boolean {
  return batch.status === 'failed' && batch.errors.some((error) => isQueueError(error.code, error.message));
}

/** True for the API's words for a full queue. */
export function isQueueError(code: string, message: string): boolean {
  return code === 'token_limit_exceeded' || /enqueued token limit/i.test(message);
}

/** The limit that a refusal names, in tokens; null where it names none. */
export function queueLimit(message: string): number | null {
  const limit = Number(/limit:?\s*([\d,]+)/i.exec(message)?.[1]?.replaceAll(',', '') ?? NaN);
  return Number.isSafeInteger(limit) && limit > 0 ? limit : null;
}

/** Why a batch failed, in words, with the lines that its errors name. */
export function describeErrors(batch: Batch): string {
  if (batch.errors.length === 0) return 'the API gave no reason';
  const descriptions = batch.errors.slice(0, ERRORS_SHOWN).map(({ code, message, line }) => {
    const where = line === null ? '' : `line ${count(line)}: `;
    return `${where}${sanitize(message, 200) || sanitize(code, 80) || 'no message'}`;
  });
  const more = batch.errors.length - descriptions.length;
  return `${descriptions.join('; ')}${more > 0 ? `; and ${plural(more, 'more error')}` : ''}`;
}
