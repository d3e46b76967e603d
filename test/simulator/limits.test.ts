import { describe, expect, it } from 'vitest';
import type { SimulatorLimits } from '../../src/simulator/options.js';
import { formatDuration, RateLimits } from '../../src/simulator/rate-limits.js';
import { ask, post, refused, simulate } from './support.js';

const MINUTE = { limitWindowMs: 60_000 };

describe('rate limits over HTTP', () => {
  it('are described in the headers of each answer', async () => {
    const simulator = await simulate({ requestsPerMinute: 600, tokensPerMinute: 60_000, ...MINUTE });
    const { headers } = await post(simulator, { ...ask('x'.repeat(400)), max_tokens: 50, n: 2 });
    expect(headers.get('x-ratelimit-limit-requests')).toBe('600');
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('599');
    // The bucket refills while the answer is made.
    expect(headers.get('x-ratelimit-reset-requests')).toMatch(/^(?:100|\d\d?)ms$/);
    expect(headers.get('x-ratelimit-limit-tokens')).toBe('60000');
    expect(headers.get('x-ratelimit-remaining-tokens')).toMatch(/^598\d\d$/);
    expect(headers.get('x-ratelimit-reset-tokens')).toMatch(/^(?:200|1?\d?\d)ms$/);
  });

  it('refuse what is over the limit, and say how long to wait', async () => {
    const simulator = await simulate({ requestsPerMinute: 2, ...MINUTE });
    for (let count = 0; count < 2; count++) expect((await post(simulator)).status).toBe(200);
    const response = await post(simulator);
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect(Number(response.headers.get('retry-after-ms'))).toBeGreaterThan(20_000);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(20);
    expect(await refused(Promise.resolve(response))).toMatchObject({
      status: 429,
      type: 'requests',
      code: 'rate_limit_exceeded',
      message: expect.stringMatching(
        /^Rate limit reached for gpt-4o-mini in organization \S+ on requests per min \(RPM\): Limit 2, Used 2, Requested 1\. Please try again in [\d.]+s\./,
      ) as string,
    });
    expect(simulator.statistics()).toMatchObject({ requests: 3, answered: 2, throttled: 1, rejected: 0 });
  });

  it('permanently refuse what is larger than the limit', async () => {
    const simulator = await simulate({ tokensPerMinute: 1_000 });
    const response = await post(simulator, { max_tokens: 2_000 });
    expect(response.headers.get('retry-after-ms')).toBeNull();
    expect(await refused(Promise.resolve(response))).toMatchObject({
      status: 429,
      type: 'tokens',
      code: 'rate_limit_exceeded',
      message: expect.stringMatching(
        /^Request too large for gpt-4o-mini .* Limit 1000, Requested 2003\./,
      ) as string,
    });
  });

  it('refuse what comes while too many are in progress, and do not say why', async () => {
    const simulator = await simulate({ requestsAtATime: 2, latencyMs: 50 });
    const responses = await Promise.all(['a', 'b', 'c'].map((text) => post(simulator, ask(text))));
    expect(responses.map(({ status }) => status).sort()).toEqual([200, 200, 429]);
    const response = responses.find(({ status }) => status === 429);
    expect(await response?.json()).toMatchObject({ error: { message: 'Too Many Requests', code: null } });
    expect((await post(simulator)).status).toBe(200);
    expect(simulator.statistics()).toMatchObject({ requests: 4, answered: 3, throttled: 1 });
  });

  it('can keep quiet about themselves', async () => {
    const simulator = await simulate({ requestsPerMinute: 1, limitHeaders: false, ...MINUTE });
    for (const expected of [200, 429]) {
      const { status, headers } = await post(simulator);
      expect(status).toBe(expected);
      expect([...headers.keys()].filter((name) => /ratelimit|retry/.test(name))).toEqual([]);
    }
  });

  it('can be changed while the simulator runs', async () => {
    const simulator = await simulate();
    const first = await post(simulator);
    expect(first.headers.has('x-ratelimit-limit-requests')).toBe(false);
    simulator.setLimits({ requestsPerMinute: 1, ...MINUTE });
    expect([(await post(simulator)).status, (await post(simulator)).status]).toEqual([200, 429]);
    simulator.setLimits({ requestsPerMinute: null });
    expect((await post(simulator)).status).toBe(200);
  });
});

describe('a limit', () => {
  const at = (limits: Partial<SimulatorLimits>) => {
    const clock = { now: 0 };
    const tokenCharge = limits.tokenCharge ?? 'reserved';
    const whole = {
      requestsPerMinute: null,
      tokensPerMinute: null,
      limitWindowMs: 1_000,
      ...limits,
      tokenCharge,
    };
    return { clock, limits: new RateLimits(whole, () => clock.now) };
  };

  it('of tokens charges what answers use, afterwards, where that counts', () => {
    const { clock, limits } = at({ tokensPerMinute: 6000, tokenCharge: 'used' });
    expect(limits.admit(5000)).toBeNull();
    limits.use(300);
    expect(limits.admit(1)?.waitMs).toBeCloseTo(2010);
    clock.now = 2010;
    expect(limits.admit(5000)).toBeNull();
  });

  it('of a minute is enforced over each second', () => {
    const { clock, limits } = at({ requestsPerMinute: 600 });
    const admitted = (): number =>
      Array.from({ length: 50 }, () => limits.admit(1)).filter((no) => no === null).length;
    expect(admitted()).toBe(10);
    expect(limits.admit(1)?.waitMs).toBeCloseTo(100);
    clock.now = 100;
    expect(admitted()).toBe(1);
    clock.now = 60_000;
    expect(admitted()).toBe(10);
  });

  it('lets through what is larger than a second’s share, and then waits it off', () => {
    const { clock, limits } = at({ tokensPerMinute: 6_000 });
    expect(limits.admit(1_000)).toBeNull();
    expect(limits.admit(50)?.waitMs).toBeCloseTo(9_500);
    clock.now = 9_500;
    expect(limits.admit(50)).toBeNull();
  });

  it('charges nothing for what it refuses', () => {
    const { limits } = at({ requestsPerMinute: 60, tokensPerMinute: 6_000 });
    expect(limits.admit(6_001)?.waitMs).toBeNull();
    expect(limits.admit(10)).toBeNull();
    expect(limits.admit(10)?.kind).toBe('requests');
    expect(limits.headers()['x-ratelimit-remaining-tokens']).toBe('5990');
  });

  it('writes durations as the API does', () => {
    const texts = [0, 0.2, 12, 999, 1_000, 1_500, 59_999, 60_000, 360_000, 61_250].map(formatDuration);
    expect(texts).toEqual([
      '0ms',
      '1ms',
      '12ms',
      '999ms',
      '1s',
      '1.5s',
      '59.999s',
      '1m0s',
      '6m0s',
      '1m1.25s',
    ]);
  });
});
