/**
 * One limiter for a run: requests and tokens a minute, and a gate that a 429 closes.
 *
 * The API enforces a minute's limit over shorter slices (60 requests/min may mean one a second,
 * help.openai.com article 5955604), so capacity is handed out evenly with very small bursts instead of a minute's
 * worth at once. Limits come from the user or from the `x-ratelimit-*` headers of the answers; without either, only
 * the gate and the rate that 429s teach apply.
 */

import { systemClock, type Clock } from './clock.js';
import { Bucket } from './limits/bucket.js';
import { dayLimit, minuteRate, statedLimits, type Headers } from './limits/headers.js';

/** The share of a limit that is aimed at: the rest absorbs what the network adds to the spacing of requests. */
const UTILISATION = 0.985;
/** Capacity that may pile up while nothing is sent, in seconds of the limit's rate. */
const REQUEST_BURST_SECONDS = 0.02;
const TOKEN_BURST_SECONDS = 1;
/** How fast a rate that 429s cut comes back, as a share of the limit a second. */
const RECOVERY_PER_SECOND = 0.005;
const LOWEST_FACTOR = 0.1;
/** The rate is cut where at least this share of the last requests was throttled: single 429s tell nothing of a rate. */
const THROTTLED_SHARE = 0.2;
const OUTCOMES = 60;
/** A learnt rate stays above this share of the best that was measured, so that random 429s can't starve a run. */
const LOWEST_LEARNT_SHARE = 0.2;
const BACKOFF_BASE_MS = 150;
const BACKOFF_MAXIMUM_MS = 60_000;
/**
 * Some servers take back what a request reserved and did not use, and then more may be sent than the reservations
 * add up to. It shows in a bucket that stays full: then the pace is raised by small steps, and taken back as soon as
 * the bucket is seen to empty. A step is small enough that its effect is seen before the slice of a second is empty.
 */
const FULL_SHARE = 0.95;
const EMPTYING_SHARE = 0.8;
const BOOST_STEP = 1.03;
const BOOST_MAXIMUM = 8;
const BOOST_PAUSE_MS = 5000;
const BOOST_PAUSE_AFTER_429_MS = 60_000;
/** The span over which the rate of answers is measured, to learn a limit that no header tells. */
const MEASURE_MS = 2000;

interface Limit {
  /** Units a minute; null where unknown. */
  perMinute: number | null;
  /** True where the user set it: then headers do not change it. */
  fixed: boolean;
  bucket: Bucket | null;
}

export interface RateLimiterOptions {
  /** Null: what the headers say. */
  requestsPerMinute: number | null;
  /** Null: what the headers say. */
  tokensPerMinute: number | null;
  clock?: Clock;
  random?: () => number;
}

/** `gate`: pauses after 429s; `outage`: pauses after failed connections and time-outs. */
export type BindingLimit = 'requests' | 'tokens' | 'gate' | 'outage' | null;

export class RateLimiter {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #requests: Limit;
  readonly #tokens: Limit;
  /** Below 1 after 429s that came although the limit was kept: others share it, or it is lower than told. */
  #factor = 1;
  #factorChanged: number;
  #lastCut = -Infinity;
  #gateOpens = 0;
  #gateClosed = 0;
  /** What closed the gate last. */
  #gateCause: 'gate' | 'outage' = 'gate';
  #throttledInRow = 0;
  /** Requests a minute that 429s taught where no header tells a limit. */
  #learntPerMinute: number | null = null;
  readonly #answers: number[] = [];
  #bestMeasured = 0;
  /** Of the last requests, which were throttled. */
  readonly #outcomes: boolean[] = [];
  /** How much faster than the reservations allow tokens may flow; 1 or more. */
  #boost = 1;
  #nextBoost: number;
  #latency = 0;
  readonly #waited = { requests: 0, tokens: 0, gate: 0, outage: 0 };
  /** What was let through so far; tokens as the API reserves them. */
  readonly granted = { requests: 0, tokens: 0 };
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: RateLimiterOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#factorChanged = this.#clock.now();
    this.#nextBoost = this.#factorChanged + BOOST_PAUSE_MS;
    this.#requests = { perMinute: null, fixed: options.requestsPerMinute !== null, bucket: null };
    this.#tokens = { perMinute: null, fixed: options.tokensPerMinute !== null, bucket: null };
    this.#set(this.#requests, options.requestsPerMinute);
    this.#set(this.#tokens, options.tokensPerMinute);
  }

  /** Told by the headers of small accounts, where it stands in the place of the minute's; it does not set the pace. */
  requestsPerDay: number | null = null;

  /** Requests a minute in force; null where no limit is known. */
  get requestsPerMinute(): number | null {
    return this.#requests.perMinute;
  }

  /** Tokens a minute in force; null where no limit is known. */
  get tokensPerMinute(): number | null {
    return this.#tokens.perMinute;
  }

  /** Milliseconds until the gate that a 429 closed opens again; 0 where it is open. */
  get gateMilliseconds(): number {
    return Math.max(0, this.#gateOpens - this.#clock.now());
  }

  /** What requests waited for most so far; null where they hardly waited. */
  get bindingLimit(): BindingLimit {
    const longest = Math.max(...Object.values(this.#waited));
    if (longest < 100) return null;
    return (
      (['gate', 'outage', 'requests', 'tokens'] as const).find((by) => this.#waited[by] === longest) ?? null
    );
  }

  /** True where one request's tokens are above a minute's limit, so that no waiting helps. */
  canNeverFit(tokens: number): boolean {
    return this.#tokens.perMinute !== null && tokens > this.#tokens.perMinute;
  }

  /**
   * Waits until a request of that many tokens may be sent; callers are served in the order they came.
   * Returns null where it may be sent at once, which spares the hot path a promise. Resolves to false when the
   * signal aborted: then nothing was taken.
   */
  acquire(tokens: number, signal: AbortSignal): Promise<boolean> | null {
    if (this.#waiting === 0 && this.#take(tokens) === 0) return null;
    this.#waiting += 1;
    const turn = this.#last.then(() => this.#wait(tokens, signal));
    this.#last = turn;
    return turn;
  }
  #waiting = 0;

  async #wait(tokens: number, signal: AbortSignal): Promise<boolean> {
    try {
      for (;;) {
        if (signal.aborted) return false;
        const wait = this.#take(tokens);
        if (wait === 0) return true;
        // Long waits are taken in pieces: a header may raise the limit, another 429 move the gate.
        await this.#clock.sleep(Math.min(wait, 1000), signal);
      }
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Takes the capacity of one request and returns 0, or returns the milliseconds to wait. */
  #take(tokens: number): number {
    const now = this.#clock.now();
    this.#recover(now);
    const gate = this.#gateOpens - now;
    if (gate > 0) return this.#blocked(this.#gateCause, gate);
    const requestWait = this.#requests.bucket?.wait(1, now) ?? 0;
    const tokenWait = this.#tokens.bucket?.wait(tokens, now) ?? 0;
    if (requestWait > 0 && requestWait >= tokenWait) return this.#blocked('requests', requestWait);
    if (tokenWait > 0) return this.#blocked('tokens', tokenWait);
    this.#requests.bucket?.take(1);
    this.#tokens.bucket?.take(tokens);
    this.granted.requests += 1;
    this.granted.tokens += tokens;
    return 0;
  }

  #blocked(by: Exclude<BindingLimit, null>, wait: number): number {
    this.#waited[by] += Math.min(wait, 1000);
    if (by === 'tokens') this.#lastTokenWait = this.#clock.now();
    return Math.max(wait, 0.1);
  }

  /** Follows the limits that any answer's headers state. */
  observe(headers: Headers): void {
    for (const stated of statedLimits(headers)) {
      if (stated.unit === 'requests') this.requestsPerDay = dayLimit(stated) ?? this.requestsPerDay;
      const perMinute = minuteRate(stated);
      if (perMinute === null) continue;
      this.#follow(stated.unit === 'requests' ? this.#requests : this.#tokens, perMinute);
      if (stated.unit === 'tokens' && !this.#tokens.fixed && stated.remaining !== null)
        this.#adjustBoost(stated.remaining / (stated.limit ?? Infinity));
    }
  }

  #adjustBoost(full: number): void {
    const now = this.#clock.now();
    if (full < EMPTYING_SHARE) this.#setBoost(1, now + BOOST_PAUSE_MS);
    else if (full >= FULL_SHARE && now >= this.#nextBoost && this.#boundByTokens(now)) {
      // What a step does shows after as long as an answer takes.
      this.#setBoost(
        Math.min(BOOST_MAXIMUM, this.#boost * BOOST_STEP),
        now + BOOST_PAUSE_MS + 3 * this.#latency,
      );
    }
  }

  #setBoost(boost: number, next: number): void {
    this.#nextBoost = next;
    if (boost === this.#boost) return;
    this.#boost = boost;
    this.#apply(this.#tokens);
  }

  #boundByTokens(now: number): boolean {
    return now - this.#lastTokenWait < 1000;
  }
  #lastTokenWait = -Infinity;

  #follow(limit: Limit, perMinute: number): void {
    if (limit.fixed || perMinute === limit.perMinute) return;
    if (limit === this.#requests) this.#learntPerMinute = null;
    this.#set(limit, perMinute);
  }

  #set(limit: Limit, perMinute: number | null): void {
    limit.perMinute = perMinute;
    this.#apply(limit);
  }

  #apply(limit: Limit): void {
    const isRequests = limit === this.#requests;
    const told = isRequests ? (limit.perMinute ?? this.#learntPerMinute) : limit.perMinute;
    if (told === null) return;
    const perSecond = (told / 60) * UTILISATION * this.#factor * (isRequests ? 1 : this.#boost);
    const burst = isRequests
      ? Math.max(1, perSecond * REQUEST_BURST_SECONDS)
      : Math.max(1, perSecond * TOKEN_BURST_SECONDS);
    const now = this.#clock.now();
    if (limit.bucket === null) limit.bucket = new Bucket(perSecond / 1000, burst, burst, now);
    else limit.bucket.adjust(perSecond / 1000, burst, now);
  }

  /**
   * An answer arrived that was not throttled.
   * @param latency milliseconds that it took
   */
  answered(latency: number): void {
    this.#latency += (latency - this.#latency) * 0.1;
    this.#throttledInRow = 0;
    this.#noteOutcome(false);
    if (this.#requests.perMinute === null) this.#answers.push(this.#clock.now());
    if (this.#answers.length > 8192) this.#answers.splice(0, 4096);
  }

  /**
   * A 429 came: closes the gate for everybody.
   * @param retryAfter milliseconds that the server asked for; null: exponential back-off with full jitter
   * @returns true where so many requests are throttled that the rate must be too high
   */
  throttled(retryAfter: number | null): boolean {
    const now = this.#clock.now();
    // Requests that were under way when the gate closed tell nothing new.
    const alreadyClosed = this.#gateOpens > now;
    if (!alreadyClosed) this.#throttledInRow += 1;
    const ceiling = Math.min(
      BACKOFF_MAXIMUM_MS,
      BACKOFF_BASE_MS * 2 ** Math.min(this.#throttledInRow - 1, 10),
    );
    const wait = retryAfter ?? (alreadyClosed ? 0 : ceiling * (0.5 + this.#random() / 2));
    // Another few milliseconds, so that a slice of the server's clock is surely over.
    this.closeGate(wait + 5 + this.#random() * 20, 'gate');
    this.#noteOutcome(true);
    if (this.#boost > 1) this.#setBoost(1, now + BOOST_PAUSE_AFTER_429_MS);
    const share = this.#outcomes.filter(Boolean).length / OUTCOMES;
    if (share < THROTTLED_SHARE) return false;
    if (now - this.#lastCut > 1000) this.#cut(now);
    return true;
  }

  #noteOutcome(throttled: boolean): void {
    this.#outcomes.push(throttled);
    if (this.#outcomes.length > OUTCOMES) this.#outcomes.shift();
  }

  /** Closes the gate for at least that many milliseconds from now. */
  closeGate(milliseconds: number, cause: 'gate' | 'outage'): void {
    const now = this.#clock.now();
    if (now + milliseconds > this.#gateOpens) this.#gateCause = cause;
    this.#gateClosed = now;
    this.#gateOpens = Math.max(this.#gateOpens, now + milliseconds);
  }

  #cut(now: number): void {
    this.#lastCut = now;
    if (this.#requests.perMinute === null && this.#tokens.perMinute === null) this.#learn(now);
    else this.#factor = Math.max(LOWEST_FACTOR, this.#factor * 0.95);
    this.#apply(this.#requests);
    this.#apply(this.#tokens);
  }

  /** Without headers: what was answered in the last seconds is near what is allowed. */
  #learn(now: number): void {
    const recent = this.#answers.filter((time) => time > now - MEASURE_MS).length;
    const measured = (recent / MEASURE_MS) * 60_000;
    this.#bestMeasured = Math.max(this.#bestMeasured, measured);
    const lowest = Math.max(1, this.#bestMeasured * LOWEST_LEARNT_SHARE);
    const lower = Math.min(measured, (this.#learntPerMinute ?? Infinity) * 0.9);
    if (this.#bestMeasured > 0) this.#learntPerMinute = Math.max(lowest, lower);
  }

  #recover(now: number): void {
    const seconds = (now - this.#factorChanged) / 1000;
    if (seconds < 1) return;
    this.#factorChanged = now;
    if (now < this.#gateOpens || now - this.#gateClosed < 2000) return;
    if (this.#learntPerMinute !== null) {
      // Creeps upwards, faster the longer no 429 came: the true limit may have risen.
      const calm = (now - this.#lastCut) / 1000;
      this.#learntPerMinute *= 1 + Math.min(0.2, 0.01 * calm) * Math.min(seconds, 5);
      this.#apply(this.#requests);
    } else if (this.#factor < 1) {
      this.#factor = Math.min(1, this.#factor + RECOVERY_PER_SECOND * seconds);
      this.#apply(this.#requests);
      this.#apply(this.#tokens);
    }
  }
}
