/**
 * Where the answer of a journal's line comes from, where it was not the row's job as it stands that brought it. It is
 * part of the line's metadata, before the row's number: `[request, response, {"reused_from":"other_run","request_idx":17}]`.
 */

import { isObject, parseJson } from '../lib/json.js';

export type Origin =
  /** An earlier run had it for the same request. */
  | { kind: 'reused'; run: string }
  /** Another row of this run has the same request. */
  | { kind: 'duplicate'; row: number }
  /** The row was sent again with so many times its `max_tokens`, since its answer was cut off. */
  | { kind: 'escalated'; factor: number };

/** Answers that this run did not pay for. */
export type Copy = Exclude<Origin, { kind: 'escalated' }>;

/** True for an answer that this run paid for. */
export function isPaid(origin: Origin | null): origin is Exclude<Origin, Copy> | null {
  return origin === null || origin.kind === 'escalated';
}

/** The keys that a line's metadata can begin with. */
const KEYS = {
  reused: 'reused_from',
  duplicate: 'same_as',
  escalated: 'escalated',
} as const satisfies Record<Origin['kind'], string>;
const STARTS = Object.values(KEYS).map((key) => Buffer.from(`{"${key}":`));
/** A folder's name has 255 bytes at most, and an escape six characters. */
const LONGEST = 2048;
const BEFORE = Buffer.from(',{"');

/** What the metadata of a row or of a line says of it. */
export function originFields(origin: Origin): Record<string, string | number> {
  switch (origin.kind) {
    case 'reused':
      return { [KEYS.reused]: origin.run };
    case 'duplicate':
      return { [KEYS.duplicate]: origin.row };
    case 'escalated':
      return { [KEYS.escalated]: origin.factor };
  }
}

/** Reads the metadata of a line; null where the row's own request was answered. */
export function readOrigin(metadata: Record<string, unknown>): Origin | null {
  const run = metadata[KEYS.reused];
  if (typeof run === 'string') return { kind: 'reused', run };
  const row = metadata[KEYS.duplicate];
  if (isWhole(row)) return { kind: 'duplicate', row };
  const factor = metadata[KEYS.escalated];
  return isWhole(factor) ? { kind: 'escalated', factor } : null;
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
