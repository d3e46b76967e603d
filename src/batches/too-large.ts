/** Result lines that are larger than an answer may be, and what replaces them. */

import type { AnswerBounds } from '../http/answer-bounds.js';
import { holdsMoreValues } from '../lib/json-scan.js';

/** The error code of a line that replaces one that is too large. */
export const TOO_LARGE = 'line_too_large';
/** Every server writes it near the beginning. */
const CUSTOM_ID = /"custom_id"\s{0,20}:\s{0,20}(?:"([^"\\]{1,64})"|(\d{1,15}))/;
const LOOKED_AT_BYTES = 1024;

/** A line as it was read; only its beginning if it is longer than allowed. */
export interface ReadLine {
  bytes: Buffer;
  isCut: boolean;
}

/** Why a line is too large to be parsed, as the predicate of a sentence; null if it is not. */
export function excessOfLine({ bytes, isCut }: ReadLine, bounds: AnswerBounds): string | null {
  if (isCut) return `is longer than ${bounds.bytes >> 20} MB`;
  return holdsMoreValues(bytes, bounds.values)
    ? `holds more than ${bounds.values / 1e6} million JSON values`
    : null;
}

/**
 * A line, without its end, that says why the same row has no answer.
 * @param rowOf converts an id in the provider's own form
 */
export function lineInPlaceOf(line: Buffer, reason: string, rowOf = (id: string): string => id): Buffer {
  const [, text, digits] = CUSTOM_ID.exec(line.toString('latin1', 0, LOOKED_AT_BYTES)) ?? [];
  const id = text === undefined ? (digits ?? 'null') : JSON.stringify(rowOf(text));
  const error = JSON.stringify({ code: TOO_LARGE, message: `the row's line in the result file ${reason}` });
  return Buffer.from(`{"custom_id":${id},"response":null,"error":${error}}`);
}
