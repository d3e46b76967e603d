/** What a Batch object says. It comes from outside, or from a file that somebody may have edited, so it is checked. */

import type { Batch as ApiBatch } from 'openai/resources/batches';
import { isObject } from '../json.js';
import { count, inert, plural } from '../text.js';

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
  /** Seconds since 1970; null while the batch goes on. */
  endedAt: number | null;
  /** As the API tells them: shown, and never believed. */
  counts: { total: number; completed: number; failed: number };
  errors: { code: string; message: string; line: number | null }[];
  metadata: Readonly<Record<string, string>>;
  raw: Record<string, unknown>;
}

/** Ids go into paths and addresses. */
const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/;
const ENDED: ReadonlySet<string> = new Set<BatchStatus>(['completed', 'failed', 'expired', 'cancelled']);
/** How many reasons of a failed batch are told. */
const ERRORS_TOLD = 3;

/** True for text that can be a batch's or a file's id. */
export function isId(text: string): boolean {
  return ID.test(text) && !text.includes('..');
}

/** Reads a Batch object; null where it is none. */
export function readBatch(value: unknown): Batch | null {
  if (!isObject(value)) return null;
  const { id, status, metadata } = value;
  if (typeof id !== 'string' || !isId(id) || typeof status !== 'string') return null;
  const counts = isObject(value['request_counts']) ? value['request_counts'] : {};
  const ends = ['completed_at', 'failed_at', 'expired_at', 'cancelled_at'].map((name) =>
    seconds(value[name]),
  );
  return {
    id,
    status,
    inputFileId: fileId(value['input_file_id']),
    outputFileId: fileId(value['output_file_id']),
    errorFileId: fileId(value['error_file_id']),
    createdAt: seconds(value['created_at']) ?? 0,
    inProgressAt: seconds(value['in_progress_at']),
    endedAt: ends.find((end) => end !== null) ?? null,
    counts: {
      total: seconds(counts['total']) ?? 0,
      completed: seconds(counts['completed']) ?? 0,
      failed: seconds(counts['failed']) ?? 0,
    },
    errors: readErrors(value['errors']),
    metadata: isObject(metadata) ? texts(metadata) : {},
    raw: value,
  };
}

function fileId(value: unknown): string | null {
  return typeof value === 'string' && isId(value) ? value : null;
}

function seconds(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;
}

function texts(metadata: Record<string, unknown>): Record<string, string> {
  const entries = Object.entries(metadata).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return Object.assign(Object.create(null) as Record<string, string>, Object.fromEntries(entries));
}

function readErrors(errors: unknown): Batch['errors'] {
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

/** True where nothing more will happen to a batch. A status that is not known counts as one that goes on. */
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
  if (batch.errors.length === 0) return 'the API gives no reason';
  const told = batch.errors.slice(0, ERRORS_TOLD).map(({ code, message, line }) => {
    const where = line === null ? '' : `line ${count(line)}: `;
    return `${where}${inert(message, 200) || inert(code, 80) || 'no message'}`;
  });
  const more = batch.errors.length - told.length;
  return `${told.join('; ')}${more > 0 ? `; and ${plural(more, 'more error')}` : ''}`;
}
