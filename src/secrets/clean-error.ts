/** Errors that leave the program: what is thrown to code that uses it as a library. */

import { Unsearchable, type Redactor } from './redactor.js';

/** Deeper causes are cut off: they may form a loop. */
const DEEPEST = 5;

/**
 * The same error, without secrets in its message, its stack, its causes and any other text it carries.
 * @param error anything that was thrown
 */
export function cleanError(error: unknown, redactor: Redactor, depth = 0): unknown {
  if (!(error instanceof Error)) return cleanValue(error, redactor);
  for (const name of Object.getOwnPropertyNames(error)) {
    const value = (error as unknown as Record<string, unknown>)[name];
    const clean = Array.isArray(value)
      ? value.map((one) => inner(one, redactor, depth))
      : inner(value, redactor, depth);
    if (clean !== value) replace(error, name, clean);
  }
  return error;
}

/** What an error carries; the errors of an `AggregateError` are in a list. */
function inner(value: unknown, redactor: Redactor, depth: number): unknown {
  if (value instanceof Error && depth >= DEEPEST) return undefined;
  return cleanError(value, redactor, depth + 1);
}

function cleanValue(value: unknown, redactor: Redactor): unknown {
  try {
    return redactor.value(value);
  } catch (error) {
    if (error instanceof Unsearchable) return null;
    throw error;
  }
}

function replace(error: Error, name: string, value: unknown): void {
  try {
    Object.defineProperty(error, name, { value, configurable: true, writable: true });
  } catch {
    // It is frozen, so no untrusted text was put on it.
  }
}
