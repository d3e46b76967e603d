import { Bucket } from './bucket.js';
import type { LimitUnit } from '../../http/limit-headers.js';

/** The share of a limit that is aimed at: the rest makes up for clocks that differ. */
const UTILISATION = 0.998;
/**
 * Capacity that may be saved up while nothing is sent, in seconds of the limit's rate. APIs enforce a minute's limit
 * over slices of no less than a second (help.openai.com 5955604); a part of that is left for requests that arrive
 * closer to each other than they were sent.
 */
const SAVED_SECONDS = 0.8;
const LEAST_SAVED_SECONDS = 0.02;
/** What the user set is kept to more closely. */
const SAVED_SECONDS_OF_USER = 0.25;
/** What was saved up is used at this multiple of the limit, so that a slice that is shorter is noticed early. */
const CATCH_UP = 1.4;
/** What may be sent at the same moment, in seconds of the limit's rate. */
const REQUESTS_AT_ONCE_SECONDS = 0.02;
const TOKENS_AT_ONCE_SECONDS = 0.25;
/** How fast the capacity that a refusal halved comes back, a second. */
const RECOVERY_PER_SECOND = 0.02;

/** The pace of requests or tokens under one limit a minute: even, and able to catch up after a pause. */
export class Pace {
  #perMinute: number | null = null;
  #factor = 1;
  /** Seconds that may be saved up. */
  #saved: number;
  #recovered: number;
  #even: Bucket | null = null;
  #peak: Bucket | null = null;

  /**
   * @param perMinute what the user set; null: follows what is stated
   * @param mostSaved seconds of the limit's rate that may be saved up
   */
  constructor(
    private readonly unit: LimitUnit,
    perMinute: number | null,
    now: number,
    private readonly mostSaved = perMinute === null ? SAVED_SECONDS : SAVED_SECONDS_OF_USER,
  ) {
    this.isFixed = perMinute !== null;
    this.#saved = mostSaved;
    this.#recovered = now;
    if (perMinute !== null) this.set(perMinute, unit === 'requests' ? 1 : Infinity, now);
  }

  /** True where the user set the limit: then headers do not change it. */
  readonly isFixed: boolean;

  /** Units a minute; null where no limit is known. */
  get perMinute(): number | null {
    return this.#perMinute;
  }

  /**
   * Sets the limit.
   * @param room units that are known to be left of it now
   */
  set(perMinute: number, room: number, now: number): void {
    this.#perMinute = perMinute;
    this.#apply(room, now);
  }

  /** Aims at a share of the limit. */
  scale(factor: number, now: number): void {
    this.#factor = factor;
    this.#apply(0, now);
  }

  /** Milliseconds until `amount` can be taken. */
  wait(amount: number, now: number): number {
    if (this.#even === null || this.#peak === null) return 0;
    this.#recover(now);
    return Math.max(this.#even.wait(amount, now), this.#peak.wait(amount, now));
  }

  take(amount: number): void {
    this.#even?.take(amount);
    this.#peak?.take(amount);
  }

  /** Returns what was taken and not used; negative, takes what was used beyond that. */
  giveBack(amount: number): void {
    this.#even?.giveBack(amount);
  }

  /** A request was refused although the limit was kept: less may be saved up than was thought. */
  refused(now: number): void {
    this.#saved = Math.max(Math.min(LEAST_SAVED_SECONDS, this.mostSaved), this.#saved / 2);
    this.#recovered = now;
    this.#apply(0, now);
    this.#even?.drain(now);
  }

  #recover(now: number): void {
    const seconds = (now - this.#recovered) / 1000;
    if (seconds < 1 || this.#saved >= this.mostSaved) return;
    this.#recovered = now;
    this.#saved = Math.min(this.mostSaved, this.#saved * (1 + RECOVERY_PER_SECOND * Math.min(seconds, 10)));
    this.#apply(0, now);
  }

  #apply(room: number, now: number): void {
    if (this.#perMinute === null) return;
    const perSecond = (this.#perMinute / 60) * UTILISATION * this.#factor;
    const atOnce = this.unit === 'requests' ? REQUESTS_AT_ONCE_SECONDS : TOKENS_AT_ONCE_SECONDS;
    const saved = Math.max(1, perSecond * this.#saved);
    const peak = Math.max(1, perSecond * atOnce);
    const rate = perSecond / 1000;
    if (this.#even === null) this.#even = new Bucket(rate, saved, room, now);
    else this.#even.adjust(rate, saved, now);
    if (this.#peak === null) this.#peak = new Bucket(rate * CATCH_UP, peak, peak, now);
    else this.#peak.adjust(rate * CATCH_UP, peak, now);
  }
}
