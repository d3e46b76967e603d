/** Requests and tokens a minute as OpenAI enforces them: token buckets, described in headers. */

import type { SimulatorLimits } from './options.js';

type Kind = 'requests' | 'tokens';

/** Why a request is not let through now, or never can be. */
export interface Throttled {
  kind: Kind;
  limitPerMinute: number;
  used: number;
  requested: number;
  /** Milliseconds until it would be let through; null where it is larger than the limit. */
  waitMs: number | null;
}

/** A limit that refills evenly and lets through at most one window's worth at once. */
class Bucket {
  #level: number;
  #updated: number;

  constructor(
    readonly perMinute: number,
    readonly capacity: number,
    now: number,
  ) {
    this.#level = capacity;
    this.#updated = now;
  }

  refill(now: number): void {
    this.#level = Math.min(this.capacity, this.#level + ((now - this.#updated) * this.perMinute) / 60_000);
    this.#updated = now;
  }

  /** What is used of the limit just now. */
  get used(): number {
    return this.capacity - this.#level;
  }

  /**
   * Milliseconds until an amount is let through. What is larger than a window goes through a full bucket and
   * leaves it in debt: the limit is that of a minute, however short the window.
   */
  wait(amount: number): number {
    const missing = Math.min(amount, this.capacity) - this.#level;
    return missing <= 1e-9 ? 0 : (missing * 60_000) / this.perMinute;
  }

  take(amount: number): void {
    this.#level -= amount;
  }
}

export class RateLimits {
  #limits: SimulatorLimits;
  #buckets: Record<Kind, Bucket | null>;
  readonly #now: () => number;

  /** @param now a clock in milliseconds that never goes back */
  constructor(limits: SimulatorLimits, now: () => number = () => performance.now()) {
    this.#now = now;
    this.#limits = limits;
    this.#buckets = this.#openBuckets();
  }

  /** Changes limits from now on; the buckets start full. */
  change(limits: Partial<SimulatorLimits>): void {
    this.#limits = { ...this.#limits, ...limits };
    this.#buckets = this.#openBuckets();
  }

  /** Charges a request and lets it through, or says why not (then nothing is charged). */
  admit(tokens: number): Throttled | null {
    this.#refill();
    const isReserved = this.#limits.tokenCharge === 'reserved';
    // Where use is charged, a request is let through as long as anything is left.
    const refused = this.#refusal('requests', 1) ?? this.#refusal('tokens', isReserved ? tokens : 1);
    if (refused !== null) return refused;
    this.#buckets.requests?.take(1);
    if (isReserved) this.#buckets.tokens?.take(tokens);
    return null;
  }

  /** Charges what an answer used, where that is what counts. */
  use(tokens: number): void {
    if (this.#limits.tokenCharge !== 'used') return;
    this.#refill();
    this.#buckets.tokens?.take(tokens);
  }

  /**
   * The `x-ratelimit-*` headers as of now. `reset` is the time until the limit is whole again, not a time to wait.
   * @see https://platform.openai.com/docs/guides/rate-limits
   */
  headers(): Record<string, string> {
    this.#refill();
    return { ...describe('requests', this.#buckets.requests), ...describe('tokens', this.#buckets.tokens) };
  }

  #refusal(kind: Kind, amount: number): Throttled | null {
    const bucket = this.#buckets[kind];
    if (bucket === null) return null;
    const refused = {
      kind,
      limitPerMinute: bucket.perMinute,
      used: Math.max(0, Math.ceil(bucket.used)),
      requested: amount,
    };
    if (kind === 'tokens' && amount > bucket.perMinute) return { ...refused, waitMs: null };
    const waitMs = bucket.wait(amount);
    return waitMs === 0 ? null : { ...refused, waitMs };
  }

  #refill(): void {
    const now = this.#now();
    this.#buckets.requests?.refill(now);
    this.#buckets.tokens?.refill(now);
  }

  #openBuckets(): Record<Kind, Bucket | null> {
    const { requestsPerMinute, tokensPerMinute, limitWindowMs } = this.#limits;
    const open = (perMinute: number | null): Bucket | null =>
      perMinute === null ? null : new Bucket(perMinute, (perMinute * limitWindowMs) / 60_000, this.#now());
    return { requests: open(requestsPerMinute), tokens: open(tokensPerMinute) };
  }
}

function describe(kind: Kind, bucket: Bucket | null): Record<string, string> {
  if (bucket === null) return {};
  const remaining = Math.max(0, Math.floor(bucket.perMinute - bucket.used));
  return {
    [`x-ratelimit-limit-${kind}`]: String(bucket.perMinute),
    [`x-ratelimit-remaining-${kind}`]: String(remaining),
    [`x-ratelimit-reset-${kind}`]: formatDuration((bucket.used * 60_000) / bucket.perMinute),
  };
}

/** A duration as OpenAI's headers write it: `12ms`, `1.5s`, `6m0s`. */
export function formatDuration(milliseconds: number): string {
  const whole = Math.max(0, Math.ceil(milliseconds));
  if (whole < 1_000) return `${whole}ms`;
  const minutes = Math.floor(whole / 60_000);
  const seconds = (whole % 60_000) / 1_000;
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds}s`;
}
