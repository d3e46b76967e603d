/**
 * How much one row of a dataset may be. A prompt of this size costs more than any model reads, and what is larger would
 * take memory and minutes: it fails, and the rows around it are read.
 */

import { holdsMoreValues } from '../lib/json-scan.js';
import { count, sanitize } from '../lib/text.js';

/** Bytes of a line, a record or an element of an array. */
export const LONGEST_ROW_BYTES = 24 << 20;
/** Lists of tokens and vectors in columns that nobody uses included. */
export const MOST_ROW_VALUES = 500_000;
/** What is kept of a row that is longer, for a message. */
export const EXCERPT_BYTES = 1024;

export const TOO_LONG = `is longer than ${LONGEST_ROW_BYTES >> 20} MB`;
export const TOO_MANY_VALUES = `holds more than ${count(MOST_ROW_VALUES)} values`;

/** JSON text of a row as it was found. */
export interface RawRow {
  /** Its beginning alone where it is longer than a row may be. */
  bytes: Buffer;
  isCut: boolean;
}

/** Why a row is too much to be parsed, in words that follow its name; null where it is not. */
export function excessOf({ bytes, isCut }: RawRow): string | null {
  if (isCut) return `${TOO_LONG} (it begins with “${sanitize(bytes.toString('utf8'), 60)}”)`;
  return holdsMoreValues(bytes, MOST_ROW_VALUES) ? TOO_MANY_VALUES : null;
}

/** A row that was read and is too much, for formats that are not text. */
export class ExcessiveRow {
  /** @param problem in words that follow its name */
  constructor(readonly problem: string) {}
}

/** The same as `excessOf` for cells that have been read. */
export function excessOfCells(cells: readonly unknown[]): string | null {
  const size = { characters: 0, values: 0 };
  for (const cell of cells) measure(cell, size);
  if (size.characters > LONGEST_ROW_BYTES) return TOO_LONG;
  return size.values > MOST_ROW_VALUES ? TOO_MANY_VALUES : null;
}

function measure(value: unknown, size: { characters: number; values: number }): void {
  size.values += 1;
  if (typeof value === 'string') size.characters += value.length;
  if (typeof value !== 'object' || value === null || size.values > MOST_ROW_VALUES) return;
  for (const inner of Object.values(value)) measure(inner, size);
}
