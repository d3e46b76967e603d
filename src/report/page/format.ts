/** How the page writes amounts. */

export { dollars } from '../../lib/text.js';
export { element, number } from './dom.js';
import { number } from './dom.js';

/** `1,990`, `12k`, `1.2M`. */
export function compactNumber(amount: number): string {
  if (amount < 10_000) return number(Math.round(amount));
  return amount < 1e6 ? `${plainAmount(amount / 1000)}k` : `${plainAmount(amount / 1e6)}M`;
}

/** Two digits that matter, three from 100 on, and all of those before the point. */
export function plainAmount(amount: number): string {
  return amount >= 1000
    ? number(Math.round(amount))
    : String(Number(amount.toPrecision(amount < 100 ? 2 : 3)));
}

/** A time since the start. */
export function timeText(after: number): string {
  if (after < 120) return `${plainAmount(after)} s`;
  return after < 7200 ? `${plainAmount(after / 60)} min` : `${plainAmount(after / 3600)} h`;
}

/** A short time: `340 ms`, `2.1 s`. */
export function seconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${plainAmount(milliseconds)} ms` : `${plainAmount(milliseconds / 1000)} s`;
}
