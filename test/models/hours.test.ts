import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hourlyRates, knownHourlyRates, windowsOf } from '../../src/models/hourly-prices.js';
import { Hours, parseHours } from '../../src/models/hours.js';
import { findPrice, hasHourlyPrice, type Rates } from '../../src/models/prices.js';
import { PROVIDERS } from '../../src/models/providers.js';

const at = (time: string): number => Date.parse(`${time}Z`);
// A Monday.
const MONDAY = '2026-11-30';
const SATURDAY = '2026-11-28';

describe('hours in UTC', () => {
  it.each([
    ['16:30-00:30', '16:29', false],
    ['16:30-00:30', '16:30', true],
    ['16:30-00:30', '23:59', true],
    ['16:30-00:30', '00:00', true],
    ['16:30-00:30', '00:29', true],
    ['16:30-00:30', '00:30', false],
    ['0:00-1:00, 10:00-24:00', '00:59', true],
    ['0:00-1:00, 10:00-24:00', '01:00', false],
    ['0:00-1:00, 10:00-24:00', '23:59', true],
    ['00:00-24:00', '12:00', true],
    ['22:00–02:00', '01:59', true],
  ])('%s: %s is in it, %s', (text, time, isIn) => {
    expect(parseHours(text, '--off_peak').includes(at(`${MONDAY}T${time}`))).toBe(isIn);
  });

  it.each([
    '',
    '16:30',
    '25:00-01:00',
    '16:60-00:30',
    '16.30-00.30',
    '10:00-10:00',
    '16:30-00:30;01:00-02:00',
    'night',
  ])('are not %j', (text) => {
    expect(() => parseHours(text, '--off_peak')).toThrow(
      /--off_peak takes hours in UTC, such as 16:30-00:30/,
    );
  });

  it('say when they begin and end', () => {
    const hours = parseHours('16:30-00:30', '--off_peak');
    expect(hours.nextChange(at(`${MONDAY}T12:00`))).toBe(at(`${MONDAY}T16:30`));
    expect(hours.nextChange(at(`${MONDAY}T16:30`))).toBe(at('2026-12-01T00:30'));
    expect(parseHours('00:00-24:00', '').nextChange(at(`${MONDAY}T12:00`))).toBe(Infinity);
    // Neighbours are one span.
    expect(parseHours('10:00-12:00,12:00-14:00', '').nextChange(at(`${MONDAY}T11:00`))).toBe(
      at(`${MONDAY}T14:00`),
    );
  });

  it('change exactly at the stated times', () => {
    const minute = fc.integer({ min: 0, max: 1439 });
    const windows = fc.array(fc.record({ start: minute, end: minute }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(
        windows,
        fc.boolean(),
        fc.integer({ min: 0, max: 7 * 1440 }),
        (list, isOutside, minutes) => {
          const hours = isOutside ? new Hours(list).others : new Hours(list);
          const now = at(`${MONDAY}T00:00`) + minutes * 60_000;
          const change = hours.nextChange(now);
          const until = Math.min(change, now + 3 * 86_400_000);
          for (let time = now; time < until; time += 7 * 60_000)
            expect(hours.includes(time)).toBe(hours.includes(now));
          if (change !== Infinity) expect(hours.includes(change)).not.toBe(hours.includes(now));
        },
      ),
    );
  });
});

describe('prices by the hour', () => {
  // https://api-docs.deepseek.com/quick_start/pricing, November 2026: US dollars for a million tokens.
  it.each([
    ['deepseek-flash', 0.3, 0.006, 1.2],
    ['deepseek-v4-flash', 0.3, 0.006, 1.2],
    ['deepseek-v4-pro', 1.32, 0.044, 3.96],
  ])('%s costs half outside peak hours', async (model, input, cached, output) => {
    const price = await findPrice(PROVIDERS.deepseek, model);
    expect(price?.input).toBeCloseTo(input / 1e6, 15);
    expect(price?.cachedInput).toBeCloseTo(cached / 1e6, 15);
    expect(price?.output).toBeCloseTo(output / 1e6, 15);
    expect(price?.offPeak?.rates.output).toBeCloseTo(output / 2e6, 15);
    expect(price?.offPeak?.rates.cachedInput).toBeCloseTo(cached / 2e6, 15);
    const hours = price?.offPeak?.hours;
    expect(String(hours)).toBe('outside 01:00-04:00 and 06:00-10:00 UTC, Monday to Friday');
    const times = ['00:59', '01:00', '03:59', '04:00', '05:59', '06:00', '09:59', '10:00'];
    expect(times.map((time) => hours?.includes(at(`${MONDAY}T${time}`)))).toEqual([
      true,
      false,
      false,
      true,
      true,
      false,
      false,
      true,
    ]);
    // Weekends are off-peak all day.
    expect(times.map((time) => hours?.includes(at(`${SATURDAY}T${time}`)))).toEqual(times.map(() => true));
    expect(hours?.nextChange(at(`${SATURDAY}T02:00`))).toBe(at(`${MONDAY}T01:00`));
  });

  it('are known without the price table where the provider has them, and are none for others', async () => {
    const deepseek = PROVIDERS.deepseek;
    expect(hasHourlyPrice({ provider: deepseek, model: 'deepseek-v4-pro' })).toBe(true);
    expect(hasHourlyPrice({ provider: deepseek, model: 'deepseek-unheard-of' })).toBe(false);
    expect(knownHourlyRates('openai', 'gpt-4o-mini')).toBeNull();
    expect((await findPrice(PROVIDERS.openai, 'gpt-4o-mini'))?.offPeak).toBeNull();
  });

  const rates = (output: number): Rates => ({ input: 1, cachedInput: 1, cacheWriteInput: 1, output });
  const constraint = (start: string, end: string): object => ({
    constraint: { type: 'time_of_date', start_time: start, end_time: end },
    prices: {},
  });
  const windows = (...list: object[]): ReturnType<typeof windowsOf> => windowsOf({ prices: list as never });

  it('are read from the price table: a dear window', () => {
    const dear = windows({ prices: {} }, constraint('00:30:00Z', '16:30:00Z'));
    const hourly = hourlyRates(
      dear,
      (time) => rates(new Hours(dear).includes(time) ? 4 : 2),
      at(`${MONDAY}T20:00`),
    );
    expect(hourly).toMatchObject({ peak: { output: 4 }, offPeak: { rates: { output: 2 } } });
    expect(hourly?.offPeak.hours.includes(at(`${MONDAY}T20:00`))).toBe(true);
    expect(hourly?.offPeak.hours.includes(at(`${MONDAY}T01:00`))).toBe(false);
  });

  it('are read from the price table: a cheap window, in another time zone, beside one in between', () => {
    const list = windows(
      constraint('00:30:00+08:00', '08:30:00+08:00'),
      constraint('03:00:00Z', '04:00:00Z'),
    );
    const [cheap, between] = list.map((window) => new Hours([window]));
    const ratesAt = (time: number): Rates =>
      rates(cheap?.includes(time) ? 1 : between?.includes(time) ? 2 : 3);
    const hourly = hourlyRates(list, ratesAt, at(`${MONDAY}T12:00`));
    expect(hourly).toMatchObject({ peak: { output: 3 }, offPeak: { rates: { output: 1 } } });
    const { hours } = hourly?.offPeak ?? {};
    expect(
      ['16:30', '00:29', '00:30', '03:30'].map((time) => hours?.includes(at(`${MONDAY}T${time}`))),
    ).toEqual([true, true, false, false]);
  });

  it('make no difference where all windows cost the same, or none is there', () => {
    expect(hourlyRates(windows(constraint('01:00:00Z', '02:00:00Z')), () => rates(1), 0)).toBeNull();
    expect(hourlyRates(windows({ prices: {} }), () => rates(1), 0)).toBeNull();
    expect(windowsOf({ prices: { input_mtok: 1 } })).toEqual([]);
  });
});
