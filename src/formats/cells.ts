/** Reading cells of rows, which may hold anything. */

import { RowProblem } from './row-problem.js';

/**
 * A cell that must be text and not empty.
 * @throws RowProblem where it is null, of another type, or blank
 */
export function requiredText(row: Readonly<Record<string, unknown>>, column: string): string {
  const value = cell(row, column);
  if (value === null)
    throw new RowProblem(`"${column}" is ${Object.hasOwn(row, column) ? 'null' : 'missing'}`);
  if (typeof value !== 'string') throw new RowProblem(`"${column}" is ${kindOf(value)}, not text`);
  if (value.trim() === '') throw new RowProblem(`"${column}" is empty`);
  return value;
}

/**
 * A cell that may be missing, null or empty, and is text otherwise.
 * @throws RowProblem where it is of another type
 */
export function optionalText(row: Readonly<Record<string, unknown>>, column: string | null): string {
  const value = column === null ? null : cell(row, column);
  if (value === null) return '';
  if (typeof value !== 'string') throw new RowProblem(`"${column ?? ''}" is ${kindOf(value)}, not text`);
  return value;
}

/** The original answer: text as it stands, null where there is none; other values as JSON, since no prompt depends on them. */
export function originalAnswer(row: Readonly<Record<string, unknown>>, column: string | null): string | null {
  const value = column === null ? null : cell(row, column);
  if (value === null || typeof value === 'string') return value;
  if (typeof value === 'number' && !Number.isFinite(value)) return null;
  return JSON.stringify(value);
}

/** A row's own value; null where there is none, so that `__proto__` and the like never reach a prompt. */
export function cell(row: Readonly<Record<string, unknown>>, column: string): unknown {
  return Object.hasOwn(row, column) ? (row[column] ?? null) : null;
}

/** What a value is, for messages. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return `a ${typeof value}`;
}
