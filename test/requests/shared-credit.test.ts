import { spawn, spawnSync } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RedisLimits } from '../../src/requests/limits/redis-limits.js';
import { SharedCredit, type CreditSource } from '../../src/requests/limits/shared-credit.js';
import { RateLimiter } from '../../src/requests/rate-limiter.js';
import { FakeClock } from '../support/fake-clock.js';

const ROUND_TRIP_MS = 2;
const rates = { requests: 6000, tokens: null };

/** A queue of reservations, as Redis keeps it. */
function source(clock: FakeClock): CreditSource & { isInForce: boolean } {
  const used = { requests: 0, tokens: 0 };
  const one = {
    isInForce: true,
    reserve: async ({ requests, tokens, returnedTokens, rates: { requests: rpm, tokens: tpm } }) => {
      await clock.sleep(ROUND_TRIP_MS);
      const now = clock.now();
      const delays = (
        [
          ['requests', requests, rpm, 0],
          ['tokens', tokens, tpm, returnedTokens],
        ] as const
      ).map(([unit, amount, perMinute, returned]) => {
        if (perMinute === null) return 0;
        const start = Math.max(now - 100, used[unit] - (returned / perMinute) * 60_000);
        used[unit] = start + (amount / perMinute) * 60_000;
        return Math.max(0, start - now);
      });
      return Math.max(...delays);
    },
  } satisfies CreditSource;
  return one;
}

describe('workers that share limits', () => {
  it.each([
    ['requests', { requestsPerMinute: 6000, tokensPerMinute: null }, 1, 100],
    ['tokens', { requestsPerMinute: null, tokensPerMinute: 600_000 }, 200, 50],
  ] as const)(
    'use all of a limit of %s and no more, while some end and some join',
    async (_, limits, tokens, perSecond) => {
      const clock = new FakeClock();
      const shared = source(clock);
      const sent: number[] = [];
      const work = async (stop: AbortSignal): Promise<void> => {
        const credit = new SharedCredit(shared, clock);
        const limiter = new RateLimiter({ ...limits, completionTokens: 0, credit, clock });
        while (await (limiter.acquire({ tokens }, stop) ?? true)) sent.push(clock.now());
      };
      const stops = [1, 2, 3, 4, 5].map(() => new AbortController());
      const running = stops.slice(0, 4).map(({ signal }) => work(signal));
      await clock.runUntil(10_000);
      stops[0]?.abort();
      await clock.runUntil(12_000);
      running.push(work((stops[4] as AbortController).signal));
      await clock.runUntil(30_000);
      for (const stop of stops) stop.abort();
      await clock.runUntil(31_000);
      await Promise.all(running);
      expect(sent.length).toBeLessThan(30 * perSecond * 1.01);
      expect(sent.length).toBeGreaterThan(30 * perSecond * 0.97);
      for (let second = 1; second < 29; second++) {
        const within = sent.filter((time) => time >= second * 1000 && time < (second + 1) * 1000).length;
        expect(within).toBeLessThanOrEqual(perSecond * 1.15);
      }
    },
  );

  it('are not held up while limits cannot be shared, or none is known', async () => {
    const clock = new FakeClock();
    const shared = source(clock);
    const credit = new SharedCredit(shared, clock);
    expect(credit.delay(1, { requests: null, tokens: null })).toBe(0);
    expect(credit.delay(1, rates)).toBeGreaterThan(0);
    shared.isInForce = false;
    expect(credit.delay(1, rates)).toBe(0);
    await clock.runUntil(10);
  });

  it('forget what they reserved and did not use', async () => {
    const clock = new FakeClock();
    const credit = new SharedCredit(source(clock), clock);
    credit.delay(1, rates);
    await clock.runUntil(10);
    expect(credit.delay(1, rates)).toBe(0);
    await clock.runUntil(5000);
    expect(credit.delay(1, rates)).toBeGreaterThan(0);
    await clock.runUntil(5100);
  });
});

const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe.skipIf(!hasRedis)('limits over a real Redis', () => {
  it('queue reservations of all workers, and are divided after it is lost', async () => {
    const [port, password] = [await freePort(), 'secret-password-1'];
    const redis = spawn('redis-server', ['--port', String(port), '--save', '', '--requirepass', password], {
      stdio: 'ignore',
    });
    onTestFinished(() => void redis.kill('SIGKILL'));
    const said: string[] = [];
    const say = (text: string): void => void said.push(text);
    const reporter = { debug: () => undefined, info: say, warning: say, error: say };
    const address = `redis://:${password}@127.0.0.1:${port}/1`;
    const open = (): Promise<RedisLimits> => RedisLimits.open(address, reporter);
    let first = await open();
    for (let tries = 0; !first.isInForce && tries < 40; tries++) {
      first.close();
      await sleep(50);
      first = await open();
    }
    said.length = 0;
    const second = await open();
    onTestFinished(() => {
      first.close();
      second.close();
    });
    const parts = ['http://host/v1', 'model', 'sk-key'];
    const reservation = { requests: 10, tokens: 0, returnedTokens: 0, rates: { requests: 60, tokens: null } };
    const delays = [
      await first.account(parts).reserve(reservation),
      await second.account(parts).reserve(reservation),
      await first.account(parts).reserve(reservation),
      await second.account(['another']).reserve(reservation),
    ];
    for (const [place, expected] of [0, 9.9, 19.9, 0].entries())
      expect(Math.abs((delays[place] ?? NaN) / 1000 - expected)).toBeLessThan(0.5);
    const tokens = {
      requests: 0,
      tokens: 1000,
      returnedTokens: 0,
      rates: { requests: null, tokens: 60_000 },
    };
    await first.account(parts).reserve(tokens);
    const back = await second.account(parts).reserve({ ...tokens, returnedTokens: 600 });
    expect(Math.abs((back ?? NaN) - 300)).toBeLessThan(100);
    expect(second.workers).toBe(2);
    redis.kill('SIGKILL');
    expect(await first.account(parts).reserve(reservation)).toBeNull();
    expect(await first.account(parts).reserve(reservation)).toBeNull();
    expect(first.isInForce).toBe(false);
    expect(said).toHaveLength(1);
    expect(said[0]).toContain(`redis://…@127.0.0.1:${port}/1 cannot be used`);
  });
});
