/** How long a server asks to wait, in the many ways servers write it. */

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const DURATION = /^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|d))+$/;
const PARTS_OF_DURATION = /(\d{1,64}(?:\.\d{1,64})?)(ns|us|µs|ms|s|m|h|d)/g;
const ISO_DURATION =
  /^P(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;
const NUMBER = /^\d+(?:\.\d+)?$/;
/** Plain numbers from here on are seconds since 1970 (September 2001), and from 1,000 times that milliseconds. */
const EARLIEST_EPOCH_SECONDS = 1e9;
/** No quota is longer than a month; a longer wait is a mistake, and a mistake proves nothing. */
const LONGEST_WAIT_MS = 62 * 86_400_000;
const LONGEST_TEXT = 64;

/** Milliseconds of a Go-like duration (`12ms`, `1s`, `6m0s`, `1h2m3.5s`); null where the text is not one. */
export function parseDuration(text: string | null): number | null {
  if (text === null || text.length > LONGEST_TEXT || !DURATION.test(text)) return null;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(PARTS_OF_DURATION)) {
    total += Number(amount) * (UNITS[unit ?? ''] ?? 0);
  }
  return total;
}

/**
 * Milliseconds until the moment that a header names: seconds, seconds or milliseconds since 1970, a Go-like or
 * ISO 8601 duration, or a date. Null where the text means nothing, is absurd, or names a moment in the past.
 * @param now the wall clock of the server that wrote it
 */
export function parseWait(text: string | null, now: number): number | null {
  const trimmed = text?.trim() ?? '';
  if (trimmed === '' || trimmed.length > LONGEST_TEXT) return null;
  const wait =
    parseNumber(trimmed, now) ??
    parseDuration(trimmed) ??
    parseIsoDuration(trimmed) ??
    parseDate(trimmed, now);
  return wait === null || wait < 0 || wait > LONGEST_WAIT_MS ? null : wait;
}

/** Milliseconds of a plain number of them; null where the text is anything else, or absurd. */
export function parseMilliseconds(text: string | null): number | null {
  const trimmed = text?.trim() ?? '';
  if (!NUMBER.test(trimmed) || trimmed.length > LONGEST_TEXT) return null;
  const wait = Number(trimmed);
  return wait > LONGEST_WAIT_MS ? null : wait;
}

function parseNumber(text: string, now: number): number | null {
  if (!NUMBER.test(text)) return null;
  const number = Number(text);
  if (number < EARLIEST_EPOCH_SECONDS) return number * 1000;
  return (number < EARLIEST_EPOCH_SECONDS * 1000 ? number * 1000 : number) - now;
}

function parseIsoDuration(text: string): number | null {
  const match = ISO_DURATION.exec(text);
  if (match === null || text.length < 3) return null;
  const parts: (string | undefined)[] = match.slice(1);
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = parts.map((part) => Number(part ?? 0));
  return ((days * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1000;
}

/** Only what looks like a date: `Date.parse` makes one of almost any text with a number. */
function parseDate(text: string, now: number): number | null {
  if (!/^\d{4}-\d\d-\d\d[T ]|^[A-Za-z]{3,9},? /.test(text)) return null;
  const date = Date.parse(text);
  return Number.isFinite(date) ? date - now : null;
}
