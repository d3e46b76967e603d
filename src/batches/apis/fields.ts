/** Fields of answers, whatever they hold. */

import { isObject } from '../../lib/json.js';
import { secondsOf } from '../batch.js';
import { isId } from '../id.js';

/** The text of a field; null where it has none. */
export function textIn(value: unknown, name: string): string | null {
  const text = isObject(value) ? value[name] : null;
  return typeof text === 'string' && text !== '' ? text : null;
}

/** The id of a field; null where it has none. */
export function idIn(value: unknown, name: string): string | null {
  const id = textIn(value, name);
  return id !== null && isId(id) ? id : null;
}

/** A whole number of a field, also where it is written as text, as Google's APIs do; 0 where there is none. */
export function numberIn(value: unknown, name: string): number {
  const number = isObject(value) ? Number(value[name]) : 0;
  return Number.isSafeInteger(number) && number >= 0 ? number : 0;
}

/** A time as text that says in which zone; any other could be hours off. */
const ZONED = /(?:Z|GMT|[+-]\d\d:?\d\d)$/i;

/** The time of a field, in seconds since 1970; null where it has none. */
export function timeIn(value: unknown, name: string): number | null {
  const time = isObject(value) ? value[name] : null;
  if (typeof time === 'string' && !ZONED.test(time)) return null;
  return secondsOf(time) || null;
}
