import { setMaxListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { Charged } from '../../src/requests/limits/token-charge.js';
import { RateLimiter } from '../../src/requests/rate-limiter.js';
import { FakeClock } from '../support/fake-clock.js';

const never = new AbortController().signal;
setMaxListeners(0, never);

/** What one request uses and may use; which of them is charged depends on the server. */
const PROMPT = 100;
const USED = 300;
const MOST = 2000;
const USAGE = { promptTokens: PROMPT, completionTokens: USED, cachedTokens: 0, cacheWriteTokens: 0 };

interface ServerOptions {
  requestsPerMinute?: number;
  tokensPerMinute?: number;
  /** Up front, what may be used; up front, with the rest given back; or what was used, when it was. */
  charge?: 'reserved' | 'refunded' | 'used';
  /** The part of a minute over which limits are enforced. */
  slice?: number;
  hasHeaders?: boolean;
  /** Whether refusals say what the request would have been charged. */
  saysRequested?: boolean;
}

/** A server that refills a minute's limits evenly, up to one slice at a time. */
class Enforcer {
  readonly options: Required<ServerOptions>;
  #requests: number;
  #tokens: number;
  #updated = 0;
  accepted = 0;
  throttled = 0;
  refusal = '';

  constructor(options: ServerOptions) {
    this.options = {
      requestsPerMinute: 1e9,
      tokensPerMinute: 1e12,
      charge: 'used',
      slice: 1000,
      hasHeaders: true,
      saysRequested: true,
      ...options,
    };
    this.#requests = this.#capacity(this.options.requestsPerMinute);
    this.#tokens = this.#capacity(this.options.tokensPerMinute);
  }

  #capacity(perMinute: number): number {
    return (perMinute * this.options.slice) / 60_000;
  }

  request(now: number): boolean {
    const { requestsPerMinute, tokensPerMinute, charge } = this.options;
    const minutes = (now - this.#updated) / 60_000;
    this.#updated = now;
    this.#requests = Math.min(
      this.#capacity(requestsPerMinute),
      this.#requests + minutes * requestsPerMinute,
    );
    this.#tokens = Math.min(this.#capacity(tokensPerMinute), this.#tokens + minutes * tokensPerMinute);
    const amount = charge === 'reserved' ? PROMPT + MOST : charge === 'refunded' ? PROMPT + USED : 1;
    if (this.#requests < 1 || this.#tokens < Math.min(amount, this.#capacity(tokensPerMinute))) {
      this.throttled += 1;
      const requested = this.options.saysRequested ? `, Requested ${amount}` : '';
      this.refusal =
        this.#requests < 1
          ? 'Rate limit reached on requests per min (RPM): Limit 1, Used 1, Requested 1'
          : `Rate limit reached on tokens per min (TPM): Limit 1, Used 1${requested}`;
      return false;
    }
    this.#requests -= 1;
    if (charge !== 'used') this.#tokens -= amount;
    this.accepted += 1;
    return true;
  }

  answer(): void {
    if (this.options.charge === 'used') this.#tokens -= PROMPT + USED;
  }

  headers(): Record<string, string> {
    const { requestsPerMinute, tokensPerMinute, hasHeaders } = this.options;
    if (!hasHeaders) return {};
    const used = this.#capacity(tokensPerMinute) - this.#tokens;
    return {
      'x-ratelimit-remaining-requests': String(Math.floor(this.#requests)),
      'x-ratelimit-limit-requests': String(requestsPerMinute),
      'x-ratelimit-remaining-tokens': String(Math.max(0, Math.floor(tokensPerMinute - used))),
      'x-ratelimit-limit-tokens': String(tokensPerMinute),
    };
  }
}

interface DriveOptions {
  limiter?: Partial<ConstructorParameters<typeof RateLimiter>[0]>;
  /** Milliseconds of every second in which nothing is sent or read. */
  stall?: number;
  latency?: number;
  /** Called once half of the time is over. */
  halfway?: (server: Enforcer) => void;
}

/**
 * Sends as fast as the limiter allows, one request alone at first as the program does, and returns how long it took
 * from the first request until the last answer.
 */
async function drive(server: Enforcer, rows: number, options: DriveOptions = {}): Promise<number> {
  const clock = new FakeClock();
  const { stall = 0, latency = 200 } = options;
  const limiter = new RateLimiter({
    requestsPerMinute: null,
    tokensPerMinute: null,
    completionTokens: MOST,
    clock,
    random: () => 0.5,
    ...options.limiter,
  });
  let [left, answered, ended] = [rows, 0, 0];
  const awake = async (): Promise<void> => {
    const within = clock.now() % 1000;
    if (within < stall) await clock.sleep(stall - within);
  };
  const feed = async (): Promise<void> => {
    let isFirst = true;
    while (left > 0) {
      left -= 1;
      const request: Charged = { tokens: PROMPT };
      const gate = limiter.acquire(request, never);
      if (gate !== null) await gate;
      await awake();
      const delivered = deliver(request);
      if (isFirst) await delivered;
      isFirst = false;
    }
  };
  const deliver = async (request: Charged): Promise<void> => {
    for (;;) {
      await clock.sleep(20);
      const accepted = server.request(clock.now());
      const { refusal } = server;
      const headers = server.headers();
      await clock.sleep(latency - 20);
      if (accepted) server.answer();
      await awake();
      limiter.observe(headers);
      if (accepted) limiter.answered(request, latency, USAGE);
      else limiter.throttled(request, null, refusal);
      if (accepted) break;
      const turn = limiter.acquire(request, never);
      if (turn !== null) await turn;
    }
    answered += 1;
    ended = clock.now();
    if (answered === Math.floor(rows / 2)) options.halfway?.(server);
  };
  void feed();
  for (let until = 1000; answered < rows && until < 3_600_000; until += 1000) await clock.runUntil(until);
  return ended;
}

function open(options: Partial<ConstructorParameters<typeof RateLimiter>[0]> = {}): RateLimiter {
  return new RateLimiter({
    requestsPerMinute: null,
    tokensPerMinute: null,
    completionTokens: null,
    clock: new FakeClock(),
    random: () => 0.5,
    ...options,
  });
}

describe('RateLimiter', () => {
  const all = PROMPT + MOST;
  const used = PROMPT + USED;

  /** Server, rows, how much each is charged or 1, the least share of the limit, the most 429s of all, and more. */
  it.each<[string, ServerOptions, number, number, number, number, DriveOptions?]>([
    ['requests', { requestsPerMinute: 6000 }, 3000, 1, 0.985, 0.002],
    ['requests, stalled', { requestsPerMinute: 6000 }, 3000, 1, 0.97, 0.005, { stall: 100 }],
    ['requests in short slices', { requestsPerMinute: 6000, slice: 100 }, 3000, 1, 0.97, 0.01],
    [
      'requests in short slices, stalled',
      { requestsPerMinute: 6000, slice: 100 },
      3000,
      1,
      0.7,
      0.01,
      { stall: 100 },
    ],
    [
      'requests that the user limits',
      { hasHeaders: false, requestsPerMinute: 6000 },
      3000,
      1,
      0.985,
      0.002,
      { limiter: { requestsPerMinute: 6000 } },
    ],
    ['few requests', { requestsPerMinute: 60 }, 60, 1, 0.985, 0.02],
    ['reserved tokens', { tokensPerMinute: 6000 * all, charge: 'reserved' }, 3000, all, 0.97, 0.01],
    [
      'reserved tokens, stalled',
      { tokensPerMinute: 6000 * all, charge: 'reserved' },
      3000,
      all,
      0.97,
      0.01,
      { stall: 100 },
    ],
    [
      'reserved tokens that no header states',
      { tokensPerMinute: 6000 * all, charge: 'reserved', hasHeaders: false },
      3000,
      all,
      0.9,
      0.01,
      { limiter: { tokensPerMinute: 6000 * all } },
    ],
    [
      'reserved tokens that nothing states',
      { tokensPerMinute: 6000 * all, charge: 'reserved', hasHeaders: false, saysRequested: false },
      3000,
      all,
      0.85,
      0.05,
      { limiter: { tokensPerMinute: 6000 * all } },
    ],
    [
      'reserved tokens over a minute',
      { tokensPerMinute: 600 * all, charge: 'reserved', slice: 60_000 },
      1800,
      all,
      0.97,
      0.01,
    ],
    ['used tokens', { tokensPerMinute: 6000 * used }, 3000, used, 0.97, 0.01],
    ['used tokens, stalled', { tokensPerMinute: 6000 * used }, 3000, used, 0.95, 0.01, { stall: 100 }],
    ['used tokens, slow answers', { tokensPerMinute: 600 * used }, 600, used, 0.88, 0.01, { latency: 4000 }],
    ['used tokens over a minute', { tokensPerMinute: 600 * used, slice: 60_000 }, 600, used, 0.95, 0.01],
    [
      'used tokens, requests without a maximum',
      { tokensPerMinute: 6000 * used },
      3000,
      used,
      0.97,
      0.01,
      { limiter: { completionTokens: null } },
    ],
    [
      'used tokens that the user limits',
      { tokensPerMinute: 6000 * used, hasHeaders: false },
      3000,
      used,
      0.85,
      0.01,
      { limiter: { tokensPerMinute: 6000 * used } },
    ],
    [
      'tokens that are given back',
      { tokensPerMinute: 6000 * used, charge: 'refunded' },
      3000,
      used,
      0.9,
      0.01,
    ],
  ])('uses the limit of %s', async (_, options, rows, charge, share, throttled, more) => {
    const server = new Enforcer(options);
    const time = await drive(server, rows, more);
    const { requestsPerMinute, tokensPerMinute } = server.options;
    const ideal = rows / (Math.min(requestsPerMinute, tokensPerMinute / charge) / 60_000);
    expect(ideal / time).toBeGreaterThan(share);
    expect(server.throttled / rows).toBeLessThanOrEqual(throttled);
  });

  it('follows limits that change half way', async () => {
    const server = new Enforcer({ requestsPerMinute: 6000 });
    let changed = 0;
    const time = await drive(server, 3000, {
      halfway: ({ options }) => {
        options.requestsPerMinute = 3000;
        changed += 1;
      },
    });
    expect(changed).toBe(1);
    expect(45_000 / time).toBeGreaterThan(0.97);
    expect(server.throttled).toBeLessThan(0.05 * 3000);
  });

  it('learns a rate from 429s where no header tells one', async () => {
    const clock = new FakeClock();
    const limiter = open({ clock });
    const server = new Enforcer({ requestsPerMinute: 6000, hasHeaders: false });
    let inFlight = 0;
    const feed = async (): Promise<void> => {
      while (clock.now() < 60_000) {
        if (inFlight >= 50) {
          await clock.sleep(1);
          continue;
        }
        const request = { tokens: 1 };
        const turn = limiter.acquire(request, never);
        if (turn !== null) await turn;
        inFlight += 1;
        void (async () => {
          await clock.sleep(20);
          const accepted = server.request(clock.now());
          inFlight -= 1;
          if (accepted) limiter.answered(request, 20, null);
          else limiter.throttled(request, null);
        })();
      }
    };
    void feed();
    await clock.runUntil(60_000);
    expect(server.accepted).toBeGreaterThan(0.6 * 100 * 60);
    expect(server.throttled).toBeLessThan(0.1 * server.accepted);
  });

  it('respects the user’s limit, even if the headers allow more', () => {
    const limiter = open({ requestsPerMinute: 60 });
    limiter.observe({ 'x-ratelimit-limit-requests': '6000' });
    expect(limiter.requestsPerMinute).toBe(60);
  });

  it('reads a daily figure as daily', () => {
    const limiter = open();
    limiter.observe({
      'x-ratelimit-limit-requests': '10000',
      'x-ratelimit-remaining-requests': '9999',
      'x-ratelimit-reset-requests': '8.64s',
    });
    expect(limiter.requestsPerMinute).toBeNull();
  });

  it('reports immediately that a request can never fit', () => {
    const limiter = open({ tokensPerMinute: 1000 });
    expect(limiter.canNeverFit({ tokens: 1001 })).toBe(true);
    expect(limiter.canNeverFit({ tokens: 1000 })).toBe(false);
  });

  it('a limit below what one request may use counts what answers use', async () => {
    const clock = new FakeClock();
    const limiter = open({ clock, tokensPerMinute: 1000, completionTokens: MOST });
    const sentAt: number[] = [];
    const sendThree = async (): Promise<void> => {
      for (let sent = 0; sent < 3; sent++) {
        const request: Charged = { tokens: PROMPT };
        await limiter.acquire(request, never);
        sentAt.push(clock.now());
        limiter.answered(request, 10, USAGE);
      }
    };
    void sendThree();
    await clock.runUntil(90_000);
    // 1,200 tokens are used in all; three reservations would take six minutes.
    expect(sentAt).toHaveLength(3);
  });

  it('closes the gate for everybody for as long as the server asks', async () => {
    const clock = new FakeClock();
    const limiter = open({ clock, random: () => 0 });
    limiter.throttled({ tokens: 1 }, 2000);
    const sentAt: number[] = [];
    for (let request = 0; request < 3; request++) {
      void limiter.acquire({ tokens: 1 }, never)?.then(() => sentAt.push(clock.now()));
    }
    await clock.runUntil(1999);
    expect(sentAt).toEqual([]);
    await clock.runUntil(4000);
    expect(sentAt).toHaveLength(3);
    expect(Math.min(...sentAt)).toBeGreaterThanOrEqual(2000);
  });

  it('ends every wait when the run stops, without taking capacity', async () => {
    const clock = new FakeClock();
    const limiter = open({ clock });
    limiter.throttled({ tokens: 1 }, 60_000);
    const stop = new AbortController();
    const turn = limiter.acquire({ tokens: 1 }, stop.signal);
    await clock.runUntil(10);
    stop.abort();
    expect(await turn).toBe(false);
  });
});
