/** Reading cells of rows, which may hold anything. */

import { ExactNumber, jsonText } from '../lib/json.js';
import { RowProblem } from './row-problem.js';

type Row = Readonly<Record<string, unknown>>;

/**
 * A cell that must be text and not empty; numbers and booleans count as they are spelled.
 * @throws RowProblem where it is null, of another type, or blank
 */
export function requiredText(row: Row, column: string): string {
  const value = cell(row, column);
  if (value === null)
    throw new RowProblem(`"${column}" is ${Object.hasOwn(row, column) ? 'null' : 'missing'}`);
  const text = scalarText(value);
  if (text === null) throw new RowProblem(`"${column}" is ${kindOf(value)}, not text`);
  if (text.trim() === '') throw new RowProblem(`"${column}" is empty`);
  return text;
}

/**
 * A cell that may be missing, null or empty, and is text otherwise.
 * @throws RowProblem where it is of another type
 */
export function optionalText(row: Row, column: string | null): string {
  const value = column === null ? null : cell(row, column);
  if (value === null) return '';
  const text = scalarText(value);
  if (text === null) throw new RowProblem(`"${column ?? ''}" is ${kindOf(value)}, not text`);
  return text;
}

/**
 * A cell that goes with a prompt, such as its input: text unchanged, lists and objects as JSON; empty where there is
 * none.
 */
export function contextText(row: Row, column: string | null): string {
  const value = column === null ? null : cell(row, column);
  return value === null ? '' : (scalarText(value) ?? asJson(value));
}

/** The original answer: text unchanged, null where there is none; other values as JSON, since no prompt depends on them. */
export function originalAnswer(row: Row, column: string | null): string | null {
  const value = column === null ? null : cell(row, column);
  if (value === null || (typeof value === 'number' && !Number.isFinite(value))) return null;
  return scalarText(value) ?? asJson(value);
}

/** Text, a number or a boolean as text; null for anything else. */
export function scalarText(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (value instanceof ExactNumber) return value.text;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : null;
}

function asJson(value: unknown): string {
  try {
    return jsonText(value);
  } catch (error) {
    if (error instanceof RangeError) throw new RowProblem('a cell is nested too deeply');
    throw error;
  }
}

/** A row's own value; null where there is none, so that `__proto__` and the like never reach a prompt. */
export function cell(row: Row, column: string): unknown {
  return Object.hasOwn(row, column) ? (row[column] ?? null) : null;
}

/** What a value is, for messages. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof ExactNumber) return 'a number';
  if (typeof value === 'object') return 'an object';
  return `a ${typeof value}`;
}
