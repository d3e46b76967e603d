/** The limits of a run's servers as one, for progress and estimates. */

import type { BindingLimit, RateLimiter } from './rate-limiter.js';

/** What a run's limits are known by, whether one limiter keeps them or several. */
export type Limits = Pick<
  RateLimiter,
  | 'granted'
  | 'requestsPerMinute'
  | 'tokensPerMinute'
  | 'requestsPerDay'
  | 'gateMilliseconds'
  | 'bindingLimit'
  | 'share'
>;

type Pooled = { readonly limiter: RateLimiter };

export class PooledLimits implements Limits {
  /** Also of servers that left: what they let through counts. */
  readonly #all = new Set<RateLimiter>();
  #share = 1;

  /** @param usable the servers that requests go to now */
  constructor(private readonly usable: () => readonly Pooled[]) {}

  admit(limiter: RateLimiter): void {
    limiter.share(this.#share);
    this.#all.add(limiter);
  }

  get granted(): RateLimiter['granted'] {
    const sum = { requests: 0, tokens: 0 };
    for (const { granted } of this.#all) {
      sum.requests += granted.requests;
      sum.tokens += granted.tokens;
    }
    return sum;
  }

  get requestsPerMinute(): number | null {
    return this.#sum(({ requestsPerMinute }) => requestsPerMinute);
  }

  get tokensPerMinute(): number | null {
    return this.#sum(({ tokensPerMinute }) => tokensPerMinute);
  }

  get requestsPerDay(): number | null {
    return this.#sum(({ requestsPerDay }) => requestsPerDay);
  }

  /** Nothing pauses while one server takes requests. */
  get gateMilliseconds(): number {
    const pauses = this.usable().map(({ limiter }) => limiter.gateMilliseconds);
    return pauses.length === 0 ? 0 : Math.min(...pauses);
  }

  /** What holds every server back; null where one of them hardly waited. */
  get bindingLimit(): BindingLimit {
    const limits = this.usable().map(({ limiter }) => limiter.bindingLimit);
    return limits.includes(null) ? null : (limits[0] ?? null);
  }

  share(part: number): void {
    this.#share = part;
    for (const limiter of this.#all) limiter.share(part);
  }

  /** Null where a server has no limit that is known. */
  #sum(limitOf: (limiter: RateLimiter) => number | null): number | null {
    const limits = this.usable().map(({ limiter }) => limitOf(limiter));
    if (limits.length === 0 || limits.includes(null)) return null;
    return limits.reduce<number>((sum, limit) => sum + (limit ?? 0), 0);
  }
}
