/** Prices that depend on the hour at which a request is sent. */

import type { ModelInfo } from '@pydantic/genai-prices';
import { Hours, midnightBefore, MINUTE_MS, MINUTES_A_DAY, WEEKDAYS, type HourWindow } from './hours.js';
import type { Rates } from './prices.js';

/** Lower rates, and when they hold. */
export interface OffPeak {
  rates: Rates;
  hours: Hours;
}

/** What a model costs by the hour. */
export interface HourlyRates {
  /** Outside the hours of `offPeak`. */
  peak: Rates;
  offPeak: OffPeak;
}

const MILLION = 1e6;

/** A model whose provider states prices by the hour that the price table does not have. */
interface KnownModel {
  models: RegExp;
  /** US dollars for a million tokens. */
  peak: { input: number; cachedInput: number; output: number };
  /** What the other hours cost, as a share of it. */
  offPeakShare: number;
  peakHours: readonly HourWindow[];
}

/**
 * 09:00 to 12:00 and 14:00 to 18:00 in Beijing, Monday to Friday. Chinese public holidays are off-peak as well; the State
 * Council announces them year by year, so they are not known here: on these days a cost is stated too high, never too low.
 */
const DEEPSEEK_PEAK: readonly HourWindow[] = [
  { start: 60, end: 4 * 60, days: WEEKDAYS },
  { start: 6 * 60, end: 10 * 60, days: WEEKDAYS },
];

/** By the provider's name in the price table. https://api-docs.deepseek.com/quick_start/pricing, November 2026 */
const KNOWN: Readonly<Record<string, readonly KnownModel[]>> = {
  deepseek: [
    {
      models: /^deepseek-(?:flash|v4-flash|v4-flash-vision-exp)$/,
      peak: { input: 0.3, cachedInput: 0.006, output: 1.2 },
      offPeakShare: 0.5,
      peakHours: DEEPSEEK_PEAK,
    },
    {
      models: /^deepseek-v4-pro$/,
      peak: { input: 1.32, cachedInput: 0.044, output: 3.96 },
      offPeakShare: 0.5,
      peakHours: DEEPSEEK_PEAK,
    },
  ],
};

/** The prices on the provider's own page; null for models that are looked up in the price table. */
export function knownHourlyRates(priceId: string, model: string): HourlyRates | null {
  const known = KNOWN[priceId]?.find(({ models }) => models.test(model));
  if (known === undefined) return null;
  const { input, cachedInput, output } = known.peak;
  const times = (share: number): Rates => ({
    input: (input / MILLION) * share,
    cachedInput: (cachedInput / MILLION) * share,
    cacheWriteInput: (input / MILLION) * share,
    output: (output / MILLION) * share,
  });
  return {
    peak: times(1),
    offPeak: { rates: times(known.offPeakShare), hours: new Hours(known.peakHours).others },
  };
}

/** The parts of the day with their own prices in the price table; empty where there are none. */
export function windowsOf({ prices }: Pick<ModelInfo, 'prices'>): HourWindow[] {
  if (!Array.isArray(prices)) return [];
  return prices.flatMap(({ constraint }) => {
    if (constraint?.type !== 'time_of_date') return [];
    const start = minutesOf(constraint.start_time);
    const end = minutesOf(constraint.end_time);
    return start === null || end === null ? [] : [{ start, end }];
  });
}

/** `16:30:00Z` or `00:30:00+08:00` as minutes of the day in UTC; null for anything else. */
function minutesOf(time: string): number | null {
  const match = /^(\d{2}):(\d{2})(?::\d{2}(?:\.\d+)?)?(?:Z|([+-])(\d{2}):(\d{2}))?$/.exec(time);
  if (match === null) return null;
  const [, hours = '0', minutes = '0', sign, offsetHours = '0', offsetMinutes = '0'] = match;
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === '-' ? -1 : 1);
  const inUtc = Number(hours) * 60 + Number(minutes) - offset;
  return ((inUtc % MINUTES_A_DAY) + MINUTES_A_DAY) % MINUTES_A_DAY;
}

/**
 * The rates of a model with windows in the price table: the most expensive hours set the ordinary price, and the cheapest
 * ones are the off-peak hours. Those in between count as expensive.
 * @param ratesAt the rates at a time, in milliseconds since 1970
 * @returns null where all hours cost the same
 */
export function hourlyRates(
  windows: readonly HourWindow[],
  ratesAt: (time: number) => Rates,
  now: number,
): HourlyRates | null {
  const midnight = midnightBefore(now);
  const timeOf = ({ start }: HourWindow): number => midnight + start * MINUTE_MS;
  const outside = outsideAll(windows, midnight);
  const priced = windows.map((window) => ({ window, rates: ratesAt(timeOf(window)) }));
  const other = outside === null ? null : ratesAt(outside);
  const all = [...priced.map(({ rates }) => rates), ...(other === null ? [] : [other])];
  const [cheapest] = all.toSorted((a, b) => weightOf(a) - weightOf(b));
  const peak = all.toSorted((a, b) => weightOf(b) - weightOf(a))[0];
  if (cheapest === undefined || peak === undefined || weightOf(cheapest) === weightOf(peak)) return null;
  const isCheap = (rates: Rates): boolean => weightOf(rates) === weightOf(cheapest);
  const isOtherCheap = other !== null && isCheap(other);
  const chosen = priced.filter(({ rates }) => isCheap(rates) !== isOtherCheap).map(({ window }) => window);
  const hours = new Hours(chosen);
  return { peak, offPeak: { rates: cheapest, hours: isOtherCheap ? hours.others : hours } };
}

function weightOf({ input, output }: Rates): number {
  return input + output;
}

/** A time of the day that no window covers; null where there is none. */
function outsideAll(windows: readonly HourWindow[], midnight: number): number | null {
  const covered = new Hours(windows);
  const times = [midnight, ...windows.map(({ end }) => midnight + (end % MINUTES_A_DAY) * MINUTE_MS)];
  return times.find((time) => !covered.includes(time)) ?? null;
}
