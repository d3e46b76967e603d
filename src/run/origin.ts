/**
 * Where the answer of a journal's line comes from, unless the row's unchanged job brought it. It is part of the
 * line's metadata, before the row's number: `[request, response, {"reused_from":"other_run","request_idx":17}]`.
 */

import { isObject, parseJson } from '../lib/json.js';

export type Origin = (
  | /** An earlier run had it for the same request. */
    { kind: 'reused'; run: string }
    /** Another row of this run has the same request. */
  | { kind: 'duplicate'; row: number }
  /** The row was sent again with this many times its `max_tokens`, since its answer was cut off. */
  | { kind: 'escalated'; factor: number }
  /** The row was sent to another annotator, since the run's own one refused. */
  | { kind: 'fallback'; annotator: string }
) & {
  /** The annotator that answered; absent for the run's own. */
  annotator?: string;
};

/** Answers that this run did not pay for. */
export type Copy = Extract<Origin, { kind: 'reused' | 'duplicate' }>;
/** Answers to requests that this run sent besides its jobs. */
export type Resent = Exclude<Origin, Copy>;

/** True for an answer that this run paid for. */
export function isPaid(origin: Origin | null): origin is Resent | null {
  return origin === null || origin.kind === 'escalated' || origin.kind === 'fallback';
}

/** The name of the annotator that answered; null for the run's own. */
export function annotatorOf(origin: Origin | null): string | null {
  return origin?.annotator ?? null;
}

/** The keys that a line's metadata can begin with. */
const KEYS = {
  reused: 'reused_from',
  duplicate: 'same_as',
  escalated: 'escalated',
  fallback: 'annotator',
} as const satisfies Record<Origin['kind'], string>;
const STARTS = Object.values(KEYS).map((key) => Buffer.from(`{"${key}":`));
/** A folder's name has 255 bytes at most, an annotator's 300 characters, and an escape six. */
const LONGEST = 4096;
const BEFORE = Buffer.from(',{"');

/** What the metadata of a row or of a line says of it. */
export function originFields(origin: Origin): Record<string, string | number> {
  const annotator = origin.annotator === undefined ? {} : { [KEYS.fallback]: origin.annotator };
  switch (origin.kind) {
    case 'reused':
      return { [KEYS.reused]: origin.run, ...annotator };
    case 'duplicate':
      return { [KEYS.duplicate]: origin.row, ...annotator };
    case 'escalated':
      return { [KEYS.escalated]: origin.factor, ...annotator };
    case 'fallback':
      return annotator;
  }
}

/** Reads the metadata of a line; null where the row's own request was answered. */
export function readOrigin(metadata: Record<string, unknown>): Origin | null {
  const name = metadata[KEYS.fallback];
  const annotator = typeof name === 'string' ? { annotator: name } : {};
  const run = metadata[KEYS.reused];
  if (typeof run === 'string') return { kind: 'reused', run, ...annotator };
  const row = metadata[KEYS.duplicate];
  if (isWhole(row)) return { kind: 'duplicate', row, ...annotator };
  const factor = metadata[KEYS.escalated];
  if (isWhole(factor)) return { kind: 'escalated', factor, ...annotator };
  return typeof name === 'string' ? { kind: 'fallback', annotator: name } : null;
}

function isWhole(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Kept from line to line: those that were reused from one run have it in common. */
let last: { bytes: Buffer; origin: Origin } | null = null;

/** An origin that is before a row's number. */
export interface FoundOrigin {
  origin: Origin;
  /** Where the metadata's brace is. */
  start: number;
}

/**
 * Looks for an origin, without parsing the line.
 * @param lineStart where the line begins in `bytes`
 * @param end where the key of the row's number begins, exclusive
 */
export function findOrigin(bytes: Buffer, lineStart: number, end: number): FoundOrigin | null {
  // Inside a text the quotes would be escaped.
  const from = Math.max(lineStart, end - LONGEST);
  const found = bytes.subarray(from, end).lastIndexOf(BEFORE);
  if (found === -1) return null;
  const start = from + found + 1;
  const mark = bytes.subarray(start, end);
  if (last?.bytes.equals(mark) === true) return { origin: last.origin, start };
  if (!STARTS.some((one) => mark.subarray(0, one.length).equals(one))) return null;
  const metadata = parseJson(`${mark.subarray(0, -1).toString('utf8')}}`);
  const origin = isObject(metadata) ? readOrigin(metadata) : null;
  if (origin === null) return null;
  last = { bytes: Buffer.from(mark), origin };
  return { origin, start };
}
