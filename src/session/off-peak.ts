/** `--off_peak`: requests are sent at the hours that cost less, or at hours that the user names, and wait at all others. */

import { UsageError } from '../lib/errors.js';
import { duration, sanitize } from '../lib/text.js';
import type { ModelCall } from '../models/call.js';
import type { Hours } from '../models/hours.js';
import { hasHourlyPrice, type Price } from '../models/prices.js';
import type { Schedule } from '../requests/processor.js';
import { priceFor } from '../run/budget.js';
import type { RunPolicy } from '../run/settings.js';

/** Spans of open and of closed hours that are looked at one by one; more than a year. */
const MOST_SPANS = 1000;

/** Hours of sending as the processor asks for them, by the computer's clock. */
export class SendingHours implements Schedule {
  /** @param now milliseconds since 1970 */
  constructor(
    private readonly hours: Hours,
    private readonly now: () => number = Date.now,
  ) {}

  wait(): number {
    const now = this.now();
    return this.hours.includes(now) ? 0 : this.hours.nextChange(now) - now;
  }

  /**
   * How long something takes that needs so much time within these hours, closed hours included.
   * @param milliseconds of these hours
   */
  lasting(milliseconds: number): number {
    const start = this.now();
    let [now, left] = [start, milliseconds];
    for (let spans = 0; left > 0 && spans < MOST_SPANS; spans++) {
      const change = this.hours.nextChange(now);
      if (this.hours.includes(now)) {
        if (change - now >= left) return now + left - start;
        left -= change - now;
      }
      now = change;
    }
    return now + left - start;
  }

  /** When requests may be sent again; null where they may be now. */
  get opensAt(): Date | null {
    const now = this.now();
    return this.hours.includes(now) ? null : new Date(this.hours.nextChange(now));
  }

  /** `Waiting for off-peak hours until 2026-11-30 10:00 UTC (3 h 12 min)`; null where nothing waits. */
  get notice(): string | null {
    const { opensAt } = this;
    if (opensAt === null) return null;
    const minute = opensAt.toISOString().slice(0, 'YYYY-MM-DDTHH:MM'.length).replace('T', ' ');
    return `Waiting for off-peak hours until ${minute} UTC (${duration(opensAt.getTime() - this.now())})`;
  }

  toString(): string {
    return String(this.hours);
  }
}

/**
 * When a model's requests are sent.
 * @param price of the model that they go to; null where it is not known
 * @returns null where that is at any time: also where another model's price does not depend on the hour
 */
export function sendingHours(
  { offPeak }: Pick<RunPolicy, 'offPeak'>,
  price: Price | null,
): SendingHours | null {
  if (offPeak === null) return null;
  const hours = offPeak === 'auto' ? (price?.offPeak?.hours ?? null) : offPeak;
  return hours === null ? null : new SendingHours(hours);
}

/**
 * The price of a run's model, where money or the hour matters from the first request on; null where it is not known, or is
 * looked up later.
 * @throws UserError where `--max_cost` or `--off_peak` can't be kept
 */
export async function priceAtStart(call: ModelCall, policy: RunPolicy): Promise<Price | null> {
  const { batch, maxCost, offPeak } = policy;
  const isNeeded = batch || maxCost !== null || offPeak !== null || hasHourlyPrice(call.annotator);
  const price = isNeeded ? await priceFor(call, policy) : null;
  requireHours(call, policy, price);
  return price;
}

/**
 * Makes sure that a run's own model has hours to wait for.
 * @throws UsageError where none are known and none were named
 */
export function requireHours(
  call: Pick<ModelCall, 'annotator'>,
  policy: Pick<RunPolicy, 'offPeak'>,
  price: Price | null,
): void {
  if (policy.offPeak !== 'auto' || (price?.offPeak ?? null) !== null) return;
  throw new UsageError(
    `--off_peak: the price table lists no off-peak hours for ${sanitize(call.annotator.name, 80)}. Leave the flag out, or ` +
      'name the hours at which requests may be sent, in UTC, such as --off_peak 16:30-00:30.',
  );
}
