/**
 * One limiter for a run: requests and tokens a minute, and a gate that a 429 closes.
 *
 * The API enforces a minute's limit over shorter slices (60 requests/min may mean one a second,
 * help.openai.com article 5955604), so capacity is handed out evenly with very small bursts instead of a minute's
 * worth at once. Limits come from the user or from the `x-ratelimit-*` headers of the answers; without either, only
 * the gate and the rate that 429s teach apply.
 */

import { systemClock, type Clock } from '../lib/clock.js';
import type { TokenCounts } from '../models/usage.js';
import { dayLimit, minuteRate, statedLimits, type Headers, type LimitUnit } from '../http/limit-headers.js';
import { Pace } from './limits/pace.js';
import type { SharedCredit } from './limits/shared-credit.js';
import { TokenCharge, type Charged } from './limits/token-charge.js';

/** How fast a rate that 429s cut comes back, as a share of the limit a second. */
const RECOVERY_PER_SECOND = 0.005;
const LOWEST_FACTOR = 0.1;
/** The rate is cut where at least this share of the last requests was throttled: single 429s say nothing about a rate. */
const THROTTLED_SHARE = 0.2;
const OUTCOMES = 60;
/** A learnt rate stays above this share of the best that was measured, so that random 429s can't starve a run. */
const LOWEST_LEARNT_SHARE = 0.2;
/** Milliseconds after which a queue of waiting requests is checked again. */
const QUEUE_MS = 5;
const BACKOFF_BASE_MS = 150;
const BACKOFF_MAXIMUM_MS = 60_000;
/** A limit of tokens of which less is left than this share is emptying. */
const EMPTYING_SHARE = 0.8;
/** Tokens set the pace where a request waited for them so recently. */
const RECENTLY_MS = 1000;
/** A rate that is only guessed is kept to without catching up. */
const LEARNT_SAVED_SECONDS = 0.02;
/**
 * The spans over which the rate of answers is measured, to learn a limit that no header states: some limits count seconds,
 * others minutes, and of a minute's quota that was used up in seconds the short span sees nothing once it is used up.
 */
const MEASURE_MS = [2000, 60_000];

export interface RateLimiterOptions {
  /** Null: what the headers say. */
  requestsPerMinute: number | null;
  /** Null: what the headers say. */
  tokensPerMinute: number | null;
  /** The most tokens of an answer, over all its choices; null where requests do not name one. */
  completionTokens: number | null;
  /** Capacity that other processes take from as well; absent where the limits are this process's own. */
  credit?: SharedCredit | null;
  clock?: Clock;
  random?: () => number;
}

/** `gate`: pauses after 429s; `outage`: pauses after failed connections and time-outs. */
export type BindingLimit = 'requests' | 'tokens' | 'gate' | 'outage' | null;

export class RateLimiter {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #requests: Pace;
  readonly #tokens: Pace;
  readonly #charge: TokenCharge;
  readonly #credit: SharedCredit | null;
  /** What the last answer's headers say is used of the limit of tokens. */
  #tokensUsed: number | null = null;
  #isStated = false;
  /** Below 1 after 429s that came although the limit was kept: others share it, or it is lower than stated. */
  #factor = 1;
  #factorChanged: number;
  /** The part of the limits that is this process's. */
  #share = 1;
  #lastCut = -Infinity;
  #gateOpens = 0;
  #gateClosed = 0;
  /** What closed the gate last. */
  #gateCause: 'gate' | 'outage' = 'gate';
  #throttledInRow = 0;
  /** The pace of requests that 429s taught where no header states a limit. */
  #learnt: Pace;
  readonly #answers: number[] = [];
  #bestMeasured = 0;
  /** Of the last requests, 1 for those that were throttled; the oldest is overwritten. */
  readonly #outcomes = new Uint8Array(OUTCOMES);
  #oldestOutcome = 0;
  #throttledOutcomes = 0;
  #latency = 0;
  readonly #waited = { requests: 0, tokens: 0, gate: 0, outage: 0 };
  #lastTokenWait = -Infinity;
  /** What was let through so far; tokens as the API charges them. */
  readonly granted = { requests: 0, tokens: 0 };
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: RateLimiterOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    const now = this.#clock.now();
    this.#factorChanged = now;
    this.#requests = new Pace('requests', options.requestsPerMinute, now);
    this.#tokens = new Pace('tokens', options.tokensPerMinute, now);
    this.#learnt = new Pace('requests', null, now, LEARNT_SAVED_SECONDS);
    this.#charge = new TokenCharge(options.completionTokens);
    this.#credit = options.credit ?? null;
  }

  /** From the headers of small accounts, where it is in the place of the minute's; it does not set the pace. */
  requestsPerDay: number | null = null;

  /** Requests a minute in force; null where no limit is known. */
  get requestsPerMinute(): number | null {
    return this.#requests.perMinute;
  }

  /** Tokens a minute in force; null where no limit is known. */
  get tokensPerMinute(): number | null {
    return this.#tokens.perMinute;
  }

  /** True where the API's own headers state a limit. */
  get isStated(): boolean {
    return this.#isStated;
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

  /** True where one request is charged more than a minute's limit, so that no waiting helps. */
  canNeverFit({ tokens }: Charged): boolean {
    const { perMinute } = this.#tokens;
    return perMinute !== null && this.#charge.leastOf(tokens) > perMinute;
  }

  /** The least that a request is charged. */
  chargeOf({ tokens }: Charged): number {
    return this.#charge.leastOf(tokens);
  }

  /**
   * Waits until a request may be sent; callers are served in the order they came. What it is charged is noted in it.
   * Returns null where it may be sent at once, which spares the hot path a promise. Resolves to false when the
   * signal aborted: then nothing was taken.
   */
  acquire(request: Charged, signal: AbortSignal): Promise<boolean> | null {
    if (this.#waiting === 0 && this.#take(request) === 0) return null;
    this.#waiting += 1;
    const turn = this.#last.then(() => this.#wait(request, signal));
    this.#last = turn;
    return turn;
  }
  #waiting = 0;

  async #wait(request: Charged, signal: AbortSignal): Promise<boolean> {
    try {
      for (;;) {
        if (signal.aborted) return false;
        const wait = this.#take(request);
        if (wait === 0) return true;
        // Long waits are taken in pieces: a header may raise the limit, another 429 move the gate.
        await this.#clock.sleep(Math.min(wait, 1000), signal);
      }
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Takes the capacity of one request and returns 0, or returns the milliseconds to wait. */
  #take(request: Charged): number {
    const tokens = this.#tokensFor(request);
    const wait = this.#delay(tokens);
    if (wait > 0) return wait;
    this.#requests.take(1);
    this.#learnt.take(1);
    this.#tokens.take(tokens);
    this.#credit?.take(tokens);
    request.charged = tokens;
    this.granted.requests += 1;
    this.granted.tokens += tokens;
    return 0;
  }

  /** Milliseconds until a request may be sent; 0 where it may be at once. Nothing is taken. */
  delay(request: Charged): number {
    return this.#waiting > 0 ? QUEUE_MS : this.#delay(this.#tokensFor(request));
  }

  /** What is taken from the limit of tokens for a request. */
  #tokensFor({ tokens }: Charged): number {
    const { perMinute } = this.#tokens;
    if (perMinute === null) return this.#charge.of(tokens);
    this.#charge.fitInto(perMinute, tokens);
    return Math.min(this.#charge.of(tokens), perMinute);
  }

  #delay(tokens: number): number {
    const now = this.#clock.now();
    this.#recover(now);
    const gate = this.#gateOpens - now;
    if (gate > 0) return this.#blocked(this.#gateCause, gate);
    const requestWait = Math.max(this.#requests.wait(1, now), this.#learnt.wait(1, now));
    const tokenWait = this.#tokens.wait(tokens, now);
    if (requestWait > 0 && requestWait >= tokenWait) return this.#blocked('requests', requestWait);
    if (tokenWait > 0) return this.#blocked('tokens', tokenWait);
    return this.#credit === null ? 0 : this.#creditDelay(tokens, this.#credit);
  }

  /** Milliseconds until the limits that other processes share allow a request. */
  #creditDelay(tokens: number, credit: SharedCredit): number {
    const scaled = (perMinute: number | null): number | null =>
      perMinute === null ? null : perMinute * this.#factor;
    const rates = { requests: scaled(this.requestsPerMinute), tokens: scaled(this.tokensPerMinute) };
    const wait = credit.delay(tokens, rates);
    return wait > 0 ? this.#blocked(rates.requests === null ? 'tokens' : 'requests', wait) : 0;
  }

  #giveBack(tokens: number): void {
    this.#credit?.giveBack(tokens);
    this.#tokens.giveBack(tokens);
    this.granted.tokens -= tokens;
  }

  #blocked(by: Exclude<BindingLimit, null>, wait: number): number {
    this.#waited[by] += Math.min(wait, 1000);
    if (by === 'tokens') this.#lastTokenWait = this.#clock.now();
    return Math.max(wait, 0.1);
  }

  /** Follows the limits that any answer's headers state. */
  observe(headers: Headers): void {
    for (const stated of statedLimits(headers)) {
      const { unit, limit, remaining } = stated;
      if (unit === 'requests') this.requestsPerDay = dayLimit(stated) ?? this.requestsPerDay;
      const perMinute = minuteRate(stated);
      if (perMinute === null) continue;
      this.#isStated = true;
      this.#follow(unit, perMinute, remaining);
      if (unit === 'tokens' && remaining !== null && limit !== null) this.#lookAt(limit, remaining);
    }
  }

  #follow(unit: LimitUnit, perMinute: number, remaining: number | null): void {
    const pace = unit === 'requests' ? this.#requests : this.#tokens;
    if (pace.isFixed || perMinute === pace.perMinute) return;
    const now = this.#clock.now();
    if (unit === 'requests') this.#learnt = new Pace('requests', null, now, LEARNT_SAVED_SECONDS);
    pace.set(perMinute, remaining ?? 1, now);
  }

  #lookAt(limit: number, remaining: number): void {
    this.#tokensUsed = limit - remaining;
    if (remaining < EMPTYING_SHARE * limit) this.#charge.emptying(this.#clock.now());
  }

  /**
   * A response arrived that was not throttled.
   * @param latency milliseconds that it took
   * @param usage what the answer used; null where it is none
   */
  answered(request: Charged, latency: number, usage: TokenCounts | null): void {
    const now = this.#clock.now();
    if (usage !== null) {
      if (this.granted.requests === 1 && this.#tokensUsed !== null)
        this.#charge.firstAnswer(request, usage, this.#tokensUsed);
      this.#giveBack(this.#charge.settle(request, usage));
      if (now - this.#lastTokenWait < RECENTLY_MS) this.#charge.calm(now, this.#latency);
    }
    this.#latency += (latency - this.#latency) * 0.1;
    this.#throttledInRow = 0;
    this.#noteOutcome(false);
    if (this.#requests.perMinute === null) this.#answers.push(now);
    if (this.#answers.length > 8192) this.#answers.splice(0, 4096);
  }

  /** A request was refused for a reason that is no rate: what was taken for it is free again. */
  refused(request: Charged): void {
    this.#giveBack(this.#charge.refund(request));
  }

  /**
   * A 429 came: closes the gate for all requests.
   * @param retryAfter milliseconds that the server asked for; null: exponential back-off with full jitter
   * @param message what it says
   * @returns true if fewer requests must be in flight because many are throttled: a learnt rate is kept by pacing, and
   *   with few in flight on top of that a limit of a minute took nine times as long as it had to
   */
  throttled(request: Charged, retryAfter: number | null, message = ''): boolean {
    const now = this.#clock.now();
    // Requests that were in flight when the gate closed say nothing new.
    const alreadyClosed = this.#gateOpens > now;
    if (!alreadyClosed) this.#throttledInRow += 1;
    if (!alreadyClosed) this.#tooMuch(request, message, now);
    this.#giveBack(this.#charge.refund(request));
    const ceiling = Math.min(
      BACKOFF_MAXIMUM_MS,
      BACKOFF_BASE_MS * 2 ** Math.min(this.#throttledInRow - 1, 10),
    );
    const wait = retryAfter ?? (alreadyClosed ? 0 : ceiling * (0.5 + this.#random() / 2));
    // Another few milliseconds, so that a slice of the server's clock is surely over.
    this.closeGate(wait + 5 + this.#random() * 20, 'gate');
    this.#noteOutcome(true);
    if (this.#throttledOutcomes / OUTCOMES < THROTTLED_SHARE) return false;
    if (now - this.#lastCut > 1000) this.#cut(now);
    return this.#learnt.perMinute === null || TOO_MUCH_TO_DO.test(message);
  }

  /** Learns from a refusal which limit was exceeded. */
  #tooMuch(request: Charged, message: string, now: number): void {
    const isRecent = now - this.#lastTokenWait < RECENTLY_MS;
    const unit = unitOf(message) ?? (isRecent || this.#requests.perMinute === null ? 'tokens' : 'requests');
    if (unit === 'requests') this.#requests.refused(now);
    else if (this.#tokens.perMinute !== null) {
      this.#tokens.refused(now);
      this.#charge.refused(request, requestedIn(message), now);
    }
  }

  #noteOutcome(throttled: boolean): void {
    const [place, outcome] = [this.#oldestOutcome, throttled ? 1 : 0];
    this.#throttledOutcomes += outcome - (this.#outcomes[place] ?? 0);
    this.#outcomes[place] = outcome;
    this.#oldestOutcome = (place + 1) % OUTCOMES;
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
    else this.#scale(Math.max(LOWEST_FACTOR, this.#factor * 0.95), now);
  }

  #scale(factor: number, now: number): void {
    this.#factor = factor;
    this.#requests.scale(factor * this.#share, now);
    this.#tokens.scale(factor * this.#share, now);
  }

  /** Keeps to a part of the limits, from 0 to 1, because other processes use the same account. */
  share(part: number): void {
    if (part === this.#share) return;
    this.#share = part;
    this.#scale(this.#factor, this.#clock.now());
  }

  /** Without headers: what was answered of late is near what is allowed. */
  #learn(now: number): void {
    const measured = Math.max(...MEASURE_MS.map((span) => (this.#answeredSince(now - span) / span) * 60_000));
    this.#bestMeasured = Math.max(this.#bestMeasured, measured);
    const lowest = Math.max(1, this.#bestMeasured * LOWEST_LEARNT_SHARE);
    const lower = Math.min(measured, (this.#learnt.perMinute ?? Infinity) * 0.9);
    if (this.#bestMeasured > 0) this.#learnt.set(Math.max(lowest, lower), 1, now);
  }

  #answeredSince(start: number): number {
    return this.#answers.filter((time) => time > start).length;
  }

  #recover(now: number): void {
    const seconds = (now - this.#factorChanged) / 1000;
    if (seconds < 1) return;
    this.#factorChanged = now;
    if (now < this.#gateOpens || now - this.#gateClosed < 2000) return;
    if (this.#learnt.perMinute !== null) {
      // Creeps upwards, faster the longer no 429 came: the true limit may have risen.
      const calm = (now - this.#lastCut) / 1000;
      const growth = 1 + Math.min(0.2, 0.01 * calm) * Math.min(seconds, 5);
      this.#learnt.set(this.#learnt.perMinute * growth, 1, now);
    } else if (this.#factor < 1) {
      this.#scale(Math.min(1, this.#factor + RECOVERY_PER_SECOND * seconds), now);
    }
  }
}

/** Refusals for too many at a time: Mistral, Moonshot (`max organization concurrency`), Together, W&B, Z.ai 1302. */
const AT_A_TIME = /concurren|parallel|simultaneous|at (?:once|the same time)|in[- ]flight|并发/i;
/** Refusals of servers that have too much to do, which fewer at a time help as well: Hugging Face, Cerebras. */
const TOO_MUCH_TO_DO = /\bqueue|overload/i;

/** True where a refusal says that too many requests were made at a time. */
export function isAboutConcurrency(message: string): boolean {
  return AT_A_TIME.test(message);
}

/** The limit that a refusal is about, by its text: `tokens per min (TPM)`, `Limit type: tokens`; null where unclear. */
function unitOf(message: string): LimitUnit | null {
  if (/\brequests?[ _-]per\b|\bRP[MD]\b|type: requests\b/i.test(message)) return 'requests';
  return /\btokens?\b|\bTP[MD]\b/i.test(message) ? 'tokens' : null;
}

/** `Limit 30000, Used 29000, Requested 2183`: what the refused request would have been charged. */
function requestedIn(message: string): number | null {
  const digits = /\brequested:? ([\d,]{1,15})/i.exec(message)?.[1];
  return digits === undefined ? null : Number(digits.replaceAll(',', ''));
}
