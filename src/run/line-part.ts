/**
 * Which of its row's requests a line of the journal answers, where a row takes several. It is the end of the line's
 * metadata: `[request, response, {"request_idx":17,"choice":2}]`. A line without it answers the row's one request, or
 * holds several choices from the first one on.
 */

import { matchesAt } from '../lib/bytes.js';
import type { JobPart } from '../requests/processor.js';

const KINDS = ['choice', 'turn'] as const satisfies readonly JobPart['kind'][];
const KEYS = KINDS.map((kind) => ({ kind, key: Buffer.from(`,"${kind}":`) }));

/** What follows the row's number in a line's metadata. */
export function partSuffix(part: JobPart | undefined): string {
  return part === undefined ? '' : `,"${part.kind}":${part.number}`;
}

/** Reads the metadata of a line; null where they name no part. */
export function readPart(metadata: Record<string, unknown>): JobPart | null {
  for (const kind of KINDS) {
    const number = metadata[kind];
    if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return { kind, number };
  }
  return null;
}

/** A part at the end of a line's metadata. */
export interface FoundPart {
  part: JobPart;
  /** Where the comma before its key is. */
  start: number;
}

/**
 * The part whose key ends at a place; null where another key does.
 * @param end exclusive
 */
export function findPart(bytes: Buffer, end: number, number: number): FoundPart | null {
  const found = KEYS.find(({ key }) => matchesAt(bytes, key, end - key.length));
  return found === undefined ? null : { part: { kind: found.kind, number }, start: end - found.key.length };
}
