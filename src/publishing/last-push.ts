/** What is known of the last push to a repository, and how the rows that are pushed now differ from its rows. */

import { isObject } from '../lib/json.js';
import { sanitize } from '../lib/text.js';
import { MOST_ROWS, RowDigests, ROWS_A_FILE, type RowChanges } from './row-digests.js';

/** Where digests of rows are in a repository. */
const DIGESTS_PATH = /^row_digests\/\d{5}\.txt$/;
const MOST_MODELS = 100;

/** The path of a file of digests. */
export function digestsPath(number: number): string {
  return `row_digests/${String(number).padStart(5, '0')}.txt`;
}

/** Where a push stores its record. */
export const RECORD_PATH = 'row_digests/index.json';

/** What a push records about itself, for the next one. */
export interface PushRecord {
  /** Rows that were pushed. */
  rows: number;
  /** The files with their digests. */
  digests: readonly string[];
  /** Null for the first push. */
  since_last_push: SinceLastPush | null;
}

/** How a push differs from the one before it. */
export interface SinceLastPush {
  /** Null where that is not known, because the last push left no digests of its rows. */
  rows: RowChanges | null;
  /** When the earlier run finished, in ISO 8601; null where its summary does not say it. */
  finished_at: string | null;
  /** Answers of the last push by the model that gave them. */
  models: Readonly<Record<string, number>>;
}

/** The last push, as the Hub has it. It is untrusted, so everything in it is checked. */
export interface LastPush {
  /** The commit. */
  revision: string;
  /** SHA-256 of its data; null where it is not known. */
  data: string | null;
  /** Its `summary.json`; anything. */
  summary: unknown;
  /** What is at `RECORD_PATH`; anything. */
  record: unknown;
}

/** The last push's record; null if it has none that can be used. */
export function recordOf({ record: push }: LastPush): PushRecord | null {
  if (!isObject(push)) return null;
  const { rows, digests, since_last_push: since } = push;
  const files = Array.isArray(digests) ? (digests as unknown[]) : [];
  const areFiles = files.every((path): path is string => typeof path === 'string' && DIGESTS_PATH.test(path));
  if (!isCount(rows) || rows > MOST_ROWS || !areFiles || files.length > MOST_ROWS / ROWS_A_FILE) return null;
  return { rows, digests: files, since_last_push: readSince(since) };
}

/**
 * How rows differ from those of the last push.
 * @param read a file of the last push; null where there is none
 */
export async function changesSince(
  last: LastPush,
  digests: RowDigests | null,
  read: (path: string) => Promise<string | null>,
): Promise<SinceLastPush> {
  const summary = isObject(last.summary) ? last.summary : {};
  const record = recordOf(last);
  return {
    rows: record === null || digests === null ? null : await changedRows(record, digests, read),
    finished_at: dateOf(summary['finished_at']),
    models: modelsOf(summary['models']),
  };
}

async function changedRows(
  { rows, digests: files }: PushRecord,
  digests: RowDigests,
  read: (path: string) => Promise<string | null>,
): Promise<RowChanges | null> {
  const earlier = new RowDigests(rows);
  for (const path of files) {
    const text = await read(path);
    if (text === null || !earlier.addFile(text)) return null;
  }
  return earlier.rows === rows && files.length > 0 ? digests.changesSince(earlier) : null;
}

function readSince(value: unknown): SinceLastPush | null {
  if (!isObject(value)) return null;
  const { rows } = value;
  const [added, changed, gone, unchanged] = ['new', 'changed', 'gone', 'unchanged'].map((name) =>
    isObject(rows) ? rows[name] : null,
  );
  const isWhole = isCount(added) && isCount(changed) && isCount(gone) && isCount(unchanged);
  return {
    rows: isWhole ? { new: added, changed, gone, unchanged } : null,
    finished_at: dateOf(value['finished_at']),
    models: modelsOf(value['models']),
  };
}

function modelsOf(value: unknown): Record<string, number> {
  const entries = Object.entries(isObject(value) ? value : {}).slice(0, MOST_MODELS);
  return Object.fromEntries(
    entries
      .filter((entry): entry is [string, number] => isCount(entry[1]))
      .map(([model, rows]) => [sanitize(model, 200), rows]),
  );
}

function dateOf(value: unknown): string | null {
  return typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]{5,15}Z$/.test(value) ? value : null;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
