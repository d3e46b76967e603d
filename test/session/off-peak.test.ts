import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseHours } from '../../src/models/hours.js';
import { findPrice, type Price } from '../../src/models/prices.js';
import { PROVIDERS } from '../../src/models/providers.js';
import { plainUsage } from '../../src/models/usage.js';
import { Account } from '../../src/run/account.js';
import { Totals } from '../../src/run/totals.js';
import { budgetFor } from '../../src/run/budget.js';
import { DEFAULT_POLICY } from '../../src/run/settings.js';
import { requireHours, SendingHours, sendingHours } from '../../src/session/off-peak.js';
import { temporaryFolder } from '../support/cli.js';
import { settingsFor } from '../support/settings.js';

const at = (time: string): number => Date.parse(`2026-11-30T${time}Z`);
const USAGE = plainUsage(1_000_000, 1_000_000, 0, 0);
/** US dollars of `USAGE` at peak and at off-peak hours. */
const PEAK = 5.28;
const OFF_PEAK = 2.64;

async function deepseek(): Promise<Price> {
  const price = await findPrice(PROVIDERS.deepseek, 'deepseek-v4-pro');
  if (price === null) throw new Error('no price');
  return price;
}

describe('what answers cost by the hour', () => {
  it.each([
    ['10:00', '10:05', OFF_PEAK],
    ['09:59', '10:05', PEAK],
    ['00:59', '01:01', PEAK],
    ['00:58', '01:00', PEAK],
    ['02:00', '02:01', PEAK],
    ['23:59', '00:10', OFF_PEAK],
  ])('sent at %s and answered at %s: $%d', async (from, to, cost) => {
    const account = new Account(plainUsage(0, 0, 0, 0), await deepseek());
    account.addAnswer({ usage: USAGE, tier: 'standard' });
    const sent = at(from);
    account.noteHours(USAGE, sent, at(to) < sent ? at(to) + 86_400_000 : at(to));
    expect(account.cost?.amount).toBeCloseTo(cost, 9);
  });

  it('is known to the next session, and to one that takes the folder in', async () => {
    const price = await deepseek();
    const path = join(temporaryFolder(), 'counters.json');
    const first = new Totals(path, price, new Date());
    first.addAnswer({ usage: USAGE, tier: 'standard' });
    first.accountOf(null).noteHours(USAGE, at('12:00'), at('12:01'));
    first.save();
    const next = new Totals(path, price, new Date());
    next.addAnswer({ usage: USAGE, tier: 'standard' });
    expect(next.cost).toBeCloseTo(OFF_PEAK, 9);
    // A second answer at a peak hour.
    next.addAnswer({ usage: USAGE, tier: 'standard' });
    expect(next.cost).toBeCloseTo(OFF_PEAK + PEAK, 9);
    const merged = new Totals(join(temporaryFolder(), 'counters.json'), price, new Date());
    merged.takeIn(path, 1);
    merged.addAnswer({ usage: USAGE, tier: 'standard' });
    expect(merged.cost).toBeCloseTo(OFF_PEAK, 9);
  });

  it('is never negative, for any counters', async () => {
    const path = join(temporaryFolder(), 'counters.json');
    writeFileSync(path, JSON.stringify({ startedAt: '2026-11-30T00:00:00Z', offPeak: USAGE }));
    expect(new Totals(path, await deepseek(), new Date()).cost).toBe(0);
  });
});

describe('--max_cost by the hour', () => {
  const job = { requestIdx: 0, body: Buffer.alloc(1000), tokens: 0 };
  /** Whether a request may be sent for so much at a time; its worst case is $0.0053 at peak hours. */
  async function mayBeSent(maxCost: number, time: string, offPeak: 'auto' | null): Promise<boolean> {
    const { call } = settingsFor({ dataset: 'data.json' });
    const generation = { ...call.generation, max_tokens: 1000 };
    const policy = { ...DEFAULT_POLICY, maxCost, offPeak };
    const bound = { policy, call: { ...call, generation }, price: await deepseek() };
    const budget = budgetFor(
      bound,
      () => 0,
      () => at(time),
    );
    return budget?.reserve(job) ?? true;
  }

  it.each([
    [0.004, '12:00', null, true],
    [0.004, '02:00', null, false],
    [0.006, '02:00', null, true],
    // It may be sent again, or answered, at a peak hour.
    [0.004, '00:30', null, false],
    [0.004, '00:30', 'auto', true],
    [0.004, '00:55', 'auto', false],
  ] as const)('$%d at %s, --off_peak %s: %s', async (maxCost, time, offPeak, isSent) => {
    expect(await mayBeSent(maxCost, time, offPeak)).toBe(isSent);
  });
});

describe('--off_peak', () => {
  it('waits for the price table’s hours, or for the user’s', async () => {
    const price = await deepseek();
    expect(sendingHours({ offPeak: null }, price)).toBeNull();
    expect(String(sendingHours({ offPeak: 'auto' }, price))).toContain('outside 01:00-04:00');
    expect(String(sendingHours({ offPeak: parseHours('1:00-2:00', '') }, price))).toBe('01:00-02:00 UTC');
    // A fallback annotator without off-peak hours waits for none.
    expect(sendingHours({ offPeak: 'auto' }, { ...price, offPeak: null })).toBeNull();
  });

  it.each([
    ['10:00', '10:30', 60, 60],
    ['10:00', '10:30', 0, 0],
    ['10:00', '11:30', 60, 22 * 60 + 60],
    ['10:00', '08:00', 60, 2 * 60 + 60],
    ['10:00', '11:59', 5 * 60, 3 * 22 * 60 + 5 * 60],
  ])('from %s on for two hours a day, at %s: %i minutes of work take %i', (start, now, work, minutes) => {
    const hours = new SendingHours(parseHours(`${start}-12:00`, ''), () => at(now));
    expect(hours.lasting(work * 60_000)).toBe(minutes * 60_000);
  });

  it('needs hours that are known', async () => {
    const { call } = settingsFor({ dataset: 'data.json' });
    const price = await deepseek();
    const policy = { offPeak: 'auto' as const };
    expect(() => {
      requireHours(call, policy, price);
    }).not.toThrow();
    for (const without of [null, { ...price, offPeak: null }])
      expect(() => {
        requireHours(call, policy, without);
      }).toThrow(/the price table lists no off-peak hours for .* --off_peak 16:30-00:30/);
  });
});
