/** Untrusted text, made harmless before a person or a log sees it. */

import { replaceHidden } from './hidden-characters.js';

/** Escape sequences of terminals as a whole; single controls are among the hidden characters. */
const ESCAPES = /\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;

/**
 * One line of printable text: controls, escapes and characters that nobody sees become single spaces, and what is longer than `maximum`
 * characters is cut with an ellipsis.
 */
export function sanitize(text: string, maximum = 300): string {
  // Twice the length is enough to see, and spares the patterns a hostile megabyte.
  const start = text
    .slice(0, maximum * 2)
    .replace(ESCAPES, ' ')
    .replace(/[\t\n]/g, ' ');
  const line = replaceHidden(start, aSpace).replace(/ {2,}/g, ' ').toWellFormed().trim();
  return line.length > maximum || text.length > maximum * 2 ? `${line.slice(0, maximum - 1)}…` : line;
}

/** The same for lines of our own, such as those of a table, which may hold a path: line ends and spaces stay. */
export function sanitizeLines(text: string): string {
  return replaceHidden(text.replace(ESCAPES, ' '), aSpace).toWellFormed();
}

function aSpace(): string {
  return ' ';
}

/** The text without any of the given characters at its end. A pattern such as `/\/+$/` would take quadratic time. */
export function withoutTrailing(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

/** Counts with thousands separators, as English readers expect them: `12,345`. */
export function count(value: number): string {
  // `toLocaleString` loads a library of locales first, which takes longer than reading the command line.
  if (!Number.isSafeInteger(value)) return value.toLocaleString('en-US');
  const digits = String(Math.abs(value));
  const groups: string[] = [];
  for (let end = digits.length; end > 0; end -= 3) groups.unshift(digits.slice(Math.max(0, end - 3), end));
  return `${value < 0 ? '-' : ''}${groups.join(',')}`;
}

/** `1 row`, `2 rows`. */
export function plural(value: number, noun: string, plurals = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : plurals}`;
}

/** A duration for people: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** The same, but in milliseconds below a second: servers on the same machine answer that fast. */
export function shortDuration(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : duration(milliseconds);
}

/** An amount in US dollars: cents are enough above a dollar, and below it the first digits that matter. */
export function dollars(amount: number): string {
  if (amount === 0) return '$0.00';
  if (amount >= 1) return `$${amount.toFixed(2)}`;
  return `$${amount.toPrecision(2)}`;
}

/** The same for what was spent: `≈$0.25` where a part of it had to be estimated. */
export function spent(amount: number, isEstimate: boolean): string {
  return `${isEstimate ? '≈' : ''}${dollars(amount)}`;
}

/** A word of a command line, quoted for a POSIX shell where it needs to be. */
export function shellWord(word: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
