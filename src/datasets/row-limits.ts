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

/** What a row of a table may have. */
export interface RowLimits {
  bytes: number;
  values: number;
}

export const ROW_LIMITS: RowLimits = { bytes: LONGEST_ROW_BYTES, values: MOST_ROW_VALUES };
/** For files that this program wrote. */
export const NO_LIMITS: RowLimits = { bytes: Infinity, values: Infinity };

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

/** The same words with the column that is to blame. */
export function inColumn(problem: string, column: string): string {
  return `${problem} (in column "${sanitize(column, 60)}")`;
}

/** The same for a cell of JSON that was not parsed yet; null where it may be. */
export function excessOfJson(bytes: Uint8Array): ExcessiveRow | null {
  if (bytes.length > LONGEST_ROW_BYTES) return new ExcessiveRow(TOO_LONG);
  // A value takes a byte at least.
  if (bytes.length <= MOST_ROW_VALUES) return null;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return holdsMoreValues(buffer, MOST_ROW_VALUES) ? new ExcessiveRow(TOO_MANY_VALUES) : null;
}

/**
 * The same as `excessOf` for cells that have been read. One that is an `ExcessiveRow` itself was not.
 * @param columns their names
 */
export function excessOfCells(cells: readonly unknown[], columns: readonly string[]): string | null {
  const size: CellsSize = { characters: 0, values: 0, problem: null };
  for (const [place, cell] of cells.entries()) {
    measure(cell, size);
    const column = columns[place] ?? '';
    if (size.problem !== null) return inColumn(size.problem, column);
    if (size.characters > LONGEST_ROW_BYTES) return inColumn(TOO_LONG, column);
    if (size.values > MOST_ROW_VALUES) return inColumn(TOO_MANY_VALUES, column);
  }
  return null;
}

interface CellsSize {
  characters: number;
  values: number;
  problem: string | null;
}

function measure(value: unknown, size: CellsSize): void {
  size.values += 1;
  if (value instanceof ExcessiveRow) size.problem = value.problem;
  if (typeof value === 'string') size.characters += value.length;
  if (typeof value !== 'object' || value === null || size.values > MOST_ROW_VALUES) return;
  for (const inner of Object.values(value)) measure(inner, size);
}
