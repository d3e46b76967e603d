/**
 * Capacity that several processes take from one place, so that together they keep to an account's limits exactly. It is
 * reserved some 50 ms ahead: a round trip for each request would cost more than the request.
 */

import type { Clock } from '../../lib/clock.js';

/** What is reserved at a time, in milliseconds of the limit's rate. */
const SLICE_MS = 50;
const LARGEST_SLICE_MS = 500;
/** What was reserved and not used for so long counts for nothing: the API has forgotten it as well. */
const STALE_MS = 1000;
/** While a reservation is made it is looked at this often. */
const POLL_MS = 2;

/** Limits a minute; null where none is known. */
export interface Rates {
  requests: number | null;
  tokens: number | null;
}

export interface Reservation {
  requests: number;
  tokens: number;
  /** Tokens that earlier reservations did not need. */
  returnedTokens: number;
  rates: Rates;
}

/** Where capacity is taken from. */
export interface CreditSource {
  /** False while it can't be reached: then each process keeps to its part of the limits. */
  readonly isInForce: boolean;
  /**
   * Reserves capacity.
   * @returns milliseconds until it may be used; null where it could not be reserved
   */
  reserve(reservation: Reservation): Promise<number | null>;
}

export class SharedCredit {
  #requests = 0;
  #tokens = 0;
  #readyAt = 0;
  #isAsking = false;
  #returned = 0;
  #slice = SLICE_MS;

  constructor(
    private readonly source: CreditSource,
    private readonly clock: Clock,
  ) {}

  /** Milliseconds until a request may be sent; what is missing is reserved. */
  delay(tokens: number, rates: Rates): number {
    if (!this.source.isInForce || (rates.requests === null && rates.tokens === null)) return 0;
    if (this.#isAsking) return POLL_MS;
    const now = this.clock.now();
    if (now < this.#readyAt) return this.#readyAt - now;
    if (now - this.#readyAt > STALE_MS) this.#forget();
    const lacksRequests = rates.requests !== null && this.#requests < 1;
    const lacksTokens = rates.tokens !== null && this.#tokens < tokens;
    if (!lacksRequests && !lacksTokens) return 0;
    void this.#reserve({
      requests: lacksRequests ? Math.max(1, Math.floor(this.#inSlice(rates.requests))) : 0,
      tokens: lacksTokens ? Math.max(tokens, this.#inSlice(rates.tokens)) : 0,
      returnedTokens: this.#returned,
      rates,
    });
    return POLL_MS;
  }

  /** One request is sent. */
  take(tokens: number): void {
    this.#requests = Math.max(0, this.#requests - 1);
    this.#tokens = Math.max(0, this.#tokens - tokens);
  }

  /** What was taken and not used; negative where more was used. */
  giveBack(tokens: number): void {
    this.#returned += tokens;
  }

  #forget(): void {
    this.#requests = 0;
    this.#tokens = 0;
  }

  #inSlice(perMinute: number | null): number {
    return ((perMinute ?? 0) / 60_000) * this.#slice;
  }

  async #reserve(reservation: Reservation): Promise<void> {
    this.#isAsking = true;
    this.#returned = 0;
    const asked = this.clock.now();
    const delay = await this.source.reserve(reservation);
    const now = this.clock.now();
    this.#isAsking = false;
    if (delay === null) return;
    this.#slice = Math.min(LARGEST_SLICE_MS, Math.max(SLICE_MS, 2 * (now - asked)));
    this.#readyAt = now + delay;
    this.#requests += reservation.requests;
    this.#tokens += reservation.tokens;
  }
}
