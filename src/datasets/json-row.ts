/** One row of JSON text: an object whose used numbers keep their spelling. */

import { messageOf } from '../lib/errors.js';
import { kindOf } from '../formats/cells.js';
import { isObject, parseExact, parseLenient } from '../lib/json.js';
import { sanitize } from '../lib/text.js';

export type ParsedRow = { value: Record<string, unknown> } | { problem: string; isJson: boolean };

/** Cells nested deeper than this are data of no use as a prompt. */
const DEEPEST = 200;

/**
 * Parses a row.
 * @param columns whose numbers are wanted as they are spelled; reading them costs a second parse of rows that have any
 */
export function parseRow(text: string, columns: readonly string[]): ParsedRow {
  let value: unknown;
  try {
    value = parseLenient(text);
    if (isObject(value) && hasNumbers(value, columns)) value = parseExact(text);
  } catch (error) {
    if (error instanceof RangeError) return { problem: 'is nested too deeply', isJson: true };
    return { problem: `is not JSON (${sanitize(messageOf(error), 120)})`, isJson: false };
  }
  if (isObject(value)) return { value };
  return { problem: `is ${kindOf(value)}, not an object`, isJson: true };
}

/** True where the used columns of a row hold numbers, whose spelling must be kept. */
export function hasNumbers(row: Record<string, unknown>, columns: readonly string[]): boolean {
  return columns.some((column) => Object.hasOwn(row, column) && holdsNumber(row[column], 0));
}

function holdsNumber(value: unknown, depth: number): boolean {
  if (typeof value === 'string' || value === null) return false;
  if (typeof value === 'number') return true;
  if (typeof value !== 'object') return false;
  if (depth > DEEPEST) throw new RangeError('nested too deeply');
  return Object.values(value).some((inner) => holdsNumber(inner, depth + 1));
}
