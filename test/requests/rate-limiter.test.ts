import { setMaxListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { RateLimiter } from '../../src/requests/rate-limiter.js';
import { FakeClock } from '../support/fake-clock.js';

const never = new AbortController().signal;
setMaxListeners(0, never);

/** A server that hands out a minute's limit evenly, a second's worth at most at once. */
class Enforcer {
  #requests: number;
  #tokens: number;
  #updated = 0;
  accepted = 0;
  acceptedTokens = 0;
  throttled = 0;

  constructor(
    public requestsPerMinute: number,
    public tokensPerMinute: number,
  ) {
    this.#requests = requestsPerMinute / 60;
    this.#tokens = tokensPerMinute / 60;
  }

  request(now: number, tokens: number): boolean {
    const seconds = (now - this.#updated) / 1000;
    this.#updated = now;
    this.#requests = Math.min(
      this.requestsPerMinute / 60,
      this.#requests + (seconds * this.requestsPerMinute) / 60,
    );
    this.#tokens = Math.min(this.tokensPerMinute / 60, this.#tokens + (seconds * this.tokensPerMinute) / 60);
    if (this.#requests < 1 || this.#tokens < tokens) {
      this.throttled += 1;
      return false;
    }
    this.#requests -= 1;
    this.#tokens -= tokens;
    this.accepted += 1;
    this.acceptedTokens += tokens;
    return true;
  }

  headers(): Record<string, string> {
    // Told as a share of a minute, whatever slice it is enforced over.
    return {
      'x-ratelimit-remaining-tokens': String(Math.floor(this.#tokens * 60)),
      'x-ratelimit-limit-requests': String(this.requestsPerMinute),
      'x-ratelimit-limit-tokens': String(this.tokensPerMinute),
    };
  }
}

/** Sends as fast as the limiter lets it, with answers after `latency`, until the given time. */
async function drive(
  limiter: RateLimiter,
  server: Enforcer,
  clock: FakeClock,
  until: number,
  tokens = 600,
): Promise<void> {
  const latency = 40;
  const feed = async (): Promise<void> => {
    while (clock.now() < until) {
      const turn = limiter.acquire(tokens, never);
      if (turn === null) await Promise.resolve();
      else await turn;
      void answer();
    }
  };
  const answer = async (): Promise<void> => {
    await clock.sleep(latency / 2);
    const accepted = server.request(clock.now(), tokens);
    await clock.sleep(latency / 2);
    limiter.observe(server.headers());
    if (accepted) limiter.answered(latency);
    else limiter.throttled(null);
  };
  limiter.observe(server.headers());
  void feed();
  await clock.runUntil(until);
}

describe('RateLimiter', () => {
  it.each([
    ['requests', 6000, 1e9],
    ['tokens', 1e9, 6000 * 600],
  ])(
    'uses at least 97 %% of a limit on %s that is enforced every second, with hardly a 429',
    async (_, requests, tokens) => {
      const clock = new FakeClock();
      const limiter = new RateLimiter({
        requestsPerMinute: null,
        tokensPerMinute: null,
        clock,
        random: () => 0.5,
      });
      const server = new Enforcer(requests, tokens);
      await drive(limiter, server, clock, 30_000);
      expect(server.accepted).toBeGreaterThan(0.97 * 100 * 30);
      expect(server.throttled).toBeLessThan(0.005 * server.accepted);
    },
  );

  it('finds out that a server takes back what is not used, and sends more', async () => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({
      requestsPerMinute: null,
      tokensPerMinute: null,
      clock,
      random: () => 0.5,
    });
    const server = new Enforcer(1e9, 3000 * 600);
    // 600 tokens are reserved, 400 are charged.
    const charge = server.request.bind(server);
    server.request = (now) => charge(now, 400);
    await drive(limiter, server, clock, 120_000);
    const reservedAlone = (3000 / 60) * 120;
    expect(server.accepted).toBeGreaterThan(1.1 * reservedAlone);
    expect(server.throttled).toBeLessThan(0.005 * server.accepted);
  });

  it('follows limits that change half way', async () => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({
      requestsPerMinute: null,
      tokensPerMinute: null,
      clock,
      random: () => 0.5,
    });
    const server = new Enforcer(6000, 1e9);
    await drive(limiter, server, clock, 10_000);
    server.requestsPerMinute = 3000;
    server.accepted = 0;
    server.throttled = 0;
    await drive(limiter, server, clock, 40_000);
    expect(server.accepted).toBeGreaterThan(0.95 * 50 * 30);
    expect(limiter.requestsPerMinute).toBe(3000);
  });

  it('learns a rate from 429s where no header tells one', async () => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({
      requestsPerMinute: null,
      tokensPerMinute: null,
      clock,
      random: () => 0.5,
    });
    const server = new Enforcer(6000, 1e9);
    server.headers = () => ({});
    let inFlight = 0;
    const feed = async (): Promise<void> => {
      while (clock.now() < 60_000) {
        if (inFlight >= 50) {
          await clock.sleep(1);
          continue;
        }
        const turn = limiter.acquire(1, never);
        if (turn !== null) await turn;
        inFlight += 1;
        void (async () => {
          await clock.sleep(20);
          const accepted = server.request(clock.now(), 1);
          inFlight -= 1;
          if (accepted) limiter.answered(20);
          else limiter.throttled(null);
        })();
      }
    };
    void feed();
    await clock.runUntil(60_000);
    expect(server.accepted).toBeGreaterThan(0.6 * 100 * 60);
    expect(server.throttled).toBeLessThan(0.1 * server.accepted);
  });

  it('keeps to the limit that the user set, whatever the headers say', () => {
    const limiter = new RateLimiter({ requestsPerMinute: 60, tokensPerMinute: null, clock: new FakeClock() });
    limiter.observe({ 'x-ratelimit-limit-requests': '6000' });
    expect(limiter.requestsPerMinute).toBe(60);
  });

  it('takes a daily figure for what it is', () => {
    const limiter = new RateLimiter({
      requestsPerMinute: null,
      tokensPerMinute: null,
      clock: new FakeClock(),
    });
    limiter.observe({
      'x-ratelimit-limit-requests': '10000',
      'x-ratelimit-remaining-requests': '9999',
      'x-ratelimit-reset-requests': '8.64s',
    });
    expect(limiter.requestsPerMinute).toBeNull();
  });

  it('tells at once that a request can never fit', () => {
    const limiter = new RateLimiter({
      requestsPerMinute: null,
      tokensPerMinute: 1000,
      clock: new FakeClock(),
    });
    expect(limiter.canNeverFit(1001)).toBe(true);
    expect(limiter.canNeverFit(1000)).toBe(false);
  });

  it('closes the gate for everybody for as long as the server asks', async () => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({
      requestsPerMinute: null,
      tokensPerMinute: null,
      clock,
      random: () => 0,
    });
    limiter.throttled(2000);
    const sentAt: number[] = [];
    for (let request = 0; request < 3; request++) {
      void limiter.acquire(1, never)?.then(() => sentAt.push(clock.now()));
    }
    await clock.runUntil(1999);
    expect(sentAt).toEqual([]);
    await clock.runUntil(4000);
    expect(sentAt).toHaveLength(3);
    expect(Math.min(...sentAt)).toBeGreaterThanOrEqual(2000);
  });

  it('ends every wait when the run stops, without taking capacity', async () => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({ requestsPerMinute: null, tokensPerMinute: null, clock });
    limiter.throttled(60_000);
    const stop = new AbortController();
    const turn = limiter.acquire(1, stop.signal);
    await clock.runUntil(10);
    stop.abort();
    expect(await turn).toBe(false);
  });
});
