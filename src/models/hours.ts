/** Hours of the week in UTC, such as those at which a price holds. */

import { UsageError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';

/** A span of each day, or of some days of the week. */
export interface HourWindow {
  /** Minutes after midnight. */
  start: number;
  /** The same, exclusive. One that is not after `start` is on the next day. */
  end: number;
  /** The days on which it starts, 0 for Sunday; each day where absent. */
  days?: readonly number[];
}

export const MINUTE_MS = 60_000;
export const MINUTES_A_DAY = 24 * 60;
const DAY_MS = MINUTES_A_DAY * MINUTE_MS;
const DAYS_A_WEEK = 7;
/** Monday to Friday, as `HourWindow` has days. */
export const WEEKDAYS: readonly number[] = [1, 2, 3, 4, 5];
/** More than anyone needs in a day; each costs a comparison. */
const MOST_WINDOWS = 24;

export class Hours {
  /**
   * @param isOutside true for the time outside the windows
   */
  constructor(
    private readonly windows: readonly HourWindow[],
    private readonly isOutside = false,
  ) {}

  /** All other hours. */
  get others(): Hours {
    return new Hours(this.windows, !this.isOutside);
  }

  /** @param time milliseconds since 1970, as `Date.now()` gives them */
  includes(time: number): boolean {
    const midnight = midnightBefore(time);
    // A window that began yesterday may last past midnight.
    const isInside = [midnight - DAY_MS, midnight].some((day) =>
      this.windows.some((window) => {
        const { start, end } = spanOf(window, day);
        return startsOn(window, day) && time >= start && time < end;
      }),
    );
    return isInside !== this.isOutside;
  }

  /** True where all of a span of time is in these hours, its end included. */
  includesAll(from: number, to: number): boolean {
    return this.includes(from) && this.nextChange(from) > to;
  }

  /** When these hours begin or end next, in milliseconds since 1970; Infinity where they never do. */
  nextChange(time: number): number {
    const now = this.includes(time);
    const midnight = midnightBefore(time);
    const edges = Array.from({ length: DAYS_A_WEEK + 2 }, (_, day) => midnight + (day - 1) * DAY_MS)
      .flatMap((day) =>
        this.windows.filter((window) => startsOn(window, day)).map((window) => spanOf(window, day)),
      )
      .flatMap(({ start, end }) => [start, end])
      .filter((edge) => edge > time)
      .sort((a, b) => a - b);
    return edges.find((edge) => this.includes(edge) !== now) ?? Infinity;
  }

  /** For people: `01:00-04:00 and 06:00-10:00 UTC, Monday to Friday`; `outside …` for the time outside windows. */
  toString(): string {
    const days = this.windows[0]?.days;
    const isEvery = this.windows.every((window) => String(window.days) === String(days));
    const spans = this.windows.map((window) => `${textOf(window)}${isEvery ? '' : daysOf(window)}`);
    const text = `${spans.join(' and ')} UTC${isEvery && this.windows[0] !== undefined ? daysOf(this.windows[0]) : ''}`;
    return `${this.isOutside ? 'outside ' : ''}${text}`;
  }
}

/**
 * Reads windows as people write them: `16:30-00:30` or `22:00-02:00,12:00-13:00`, in UTC on each day.
 * @param source what gave them, for messages
 * @throws UsageError that shows how to write them
 */
export function parseHours(text: string, source: string): Hours {
  const parts = text.split(',').map((part) => part.trim());
  const windows = parts.map(readWindow);
  if (windows.length <= MOST_WINDOWS && windows.every((window) => window !== null)) return new Hours(windows);
  throw new UsageError(
    `${source} takes hours in UTC, such as 16:30-00:30 or 00:00-01:00,10:00-24:00, not ${sanitize(text, 80)}.`,
  );
}

function readWindow(text: string): HourWindow | null {
  const match = /^(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})$/.exec(text);
  if (match === null) return null;
  const [from = 0, fromMinutes = 0, to = 0, toMinutes = 0] = match.slice(1).map(Number);
  const start = from * 60 + fromMinutes;
  const end = to * 60 + toMinutes;
  if (fromMinutes > 59 || toMinutes > 59 || start >= MINUTES_A_DAY || end > MINUTES_A_DAY) return null;
  // A window without length is a slip; all day is 00:00-24:00.
  return start === end % MINUTES_A_DAY && end !== MINUTES_A_DAY ? null : { start, end };
}

/** When the day of a time began in UTC, both in milliseconds since 1970. */
export function midnightBefore(time: number): number {
  return Math.floor(time / DAY_MS) * DAY_MS;
}

/** @param day its midnight */
function spanOf({ start, end }: HourWindow, day: number): { start: number; end: number } {
  const length = end > start ? end - start : end - start + MINUTES_A_DAY;
  return { start: day + start * MINUTE_MS, end: day + (start + length) * MINUTE_MS };
}

function startsOn({ days }: HourWindow, day: number): boolean {
  return days === undefined || days.includes(new Date(day).getUTCDay());
}

function textOf({ start, end }: HourWindow): string {
  return `${clockTime(start)}-${clockTime(end)}`;
}

function clockTime(minutes: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

const DAY_NAMES = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];

function daysOf({ days }: HourWindow): string {
  if (days === undefined) return '';
  return `, ${days.join() === WEEKDAYS.join() ? 'Monday to Friday' : days.map((day) => DAY_NAMES[day]).join(', ')}`;
}
