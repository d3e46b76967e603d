import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { systemVantage, type Vantage } from '../../src/lib/lock-owner.js';
import { RateLimiter } from '../../src/requests/rate-limiter.js';
import { LivingWorkers } from '../../src/shards/living.js';
import { SIMULATOR_DEFAULTS } from '../../src/simulator/options.js';
import { RateLimits } from '../../src/simulator/rate-limits.js';
import { FakeClock } from '../support/fake-clock.js';
import { temporaryFolder } from '../support/cli.js';

beforeEach(() => {
  // Signs of life are given by hand, so that a worker can be killed.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
});

/** A process on its own machine, of which others see only files. */
function machine(boot: string): Vantage {
  return { ...systemVantage('/'), boot, isRunning: () => false };
}

function worker(folder: string, clock: FakeClock, boot: string): LivingWorkers {
  const living = new LivingWorkers(folder, { clock, vantage: machine(boot) });
  onTestFinished(() => {
    living.stop();
  });
  return living;
}

it('workers count each other, and one without signs of life for three seconds no more', async () => {
  const [folder, clock] = [temporaryFolder(), new FakeClock()];
  const workers = ['a', 'b', 'c'].map((boot) => worker(folder, clock, boot));
  for (const one of workers) one.start();
  const [first, second, third] = workers as [LivingWorkers, LivingWorkers, LivingWorkers];
  for (const one of workers) one.beat();
  expect(workers.map(({ count }) => count)).toEqual([3, 3, 3]);
  // The third one freezes; the second one ends.
  second.stop();
  for (let seconds = 1; seconds <= 5; seconds++) {
    await clock.runUntil(seconds * 1000);
    first.beat();
    // By the clock of the one that looks, which saw the last sign of life at 1 second at the latest.
    expect(first.count).toBe(seconds < 4 ? 2 : 1);
  }
  // A frozen one that comes back counts again.
  third.beat();
  await clock.runUntil(6000);
  first.beat();
  expect(first.count).toBe(2);
  first.stop();
  third.stop();
  expect(readdirSync(join(folder, 'workers'))).toEqual([]);
});

it('a process of the same machine that has ended counts no more at the next look', () => {
  const [folder, clock] = [temporaryFolder(), new FakeClock()];
  const here = systemVantage('/');
  let isOtherRunning = true;
  const first = new LivingWorkers(folder, { clock, vantage: { ...here, isRunning: () => isOtherRunning } });
  const other = new LivingWorkers(folder, { clock, vantage: { ...here, pid: process.ppid } });
  for (const one of [other, first]) {
    one.start();
    onTestFinished(() => {
      one.stop();
    });
  }
  expect(first.count).toBe(2);
  isOtherRunning = false;
  first.beat();
  expect(first.count).toBe(1);
});

it('signs of life that a network file system shows late are waited for longer', async () => {
  const [folder, clock] = [temporaryFolder(), new FakeClock()];
  const [first, late] = [worker(folder, clock, 'a'), worker(folder, clock, 'b')];
  late.start();
  first.start();
  const counts: number[] = [];
  for (let second = 1; second <= 30; second++) {
    await clock.runUntil(second * 1000);
    if (second % 5 === 0) late.beat();
    first.beat();
    counts.push(first.count);
  }
  // Once its pauses are known, it is no longer taken for gone.
  expect(counts.slice(10)).toEqual(counts.slice(10).map(() => 2));
});

it('files of an earlier version count as workers, and foreign ones do not', () => {
  const [folder, clock] = [temporaryFolder(), new FakeClock()];
  const first = worker(folder, clock, 'a');
  first.start();
  writeFileSync(join(folder, 'workers', '0123456789abcdef'), '17');
  writeFileSync(join(folder, 'workers', '.nfs0000001'), '17');
  writeFileSync(join(folder, 'workers', 'fedcba9876543210'), 'x'.repeat(10_000));
  first.beat();
  expect(first.count).toBe(2);
});

/** Seconds at which a worker is killed, another joins, and the count begins and ends. */
const [KILLED, JOINED, FROM, TO] = [15, 25, 5, 40];
const PER_MINUTE = 2400;

it.each([4, 10])(
  '%i workers on machines of their own use 95 % of a limit while one is killed and one joins, and 99 % of requests are let through',
  async (workers) => {
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    const api = new RateLimits({ ...SIMULATOR_DEFAULTS, requestsPerMinute: PER_MINUTE }, clock.now);
    const counts = { admitted: 0, throttled: 0 };
    const end = new AbortController();
    const send = async (limiter: RateLimiter, signal: AbortSignal): Promise<void> => {
      while (await (limiter.acquire({ tokens: 1 }, signal) ?? true)) {
        const isIn = clock.now() >= FROM * 1000 && clock.now() < TO * 1000;
        const refused = api.admit(1);
        if (isIn) counts[refused === null ? 'admitted' : 'throttled'] += 1;
        if (refused === null) limiter.answered({ tokens: 1 }, 300, null);
        else limiter.throttled({ tokens: 1 }, refused.waitMs);
      }
    };
    const run = async (number: number, from: number, signal: AbortSignal): Promise<void> => {
      // Nobody's clock ticks with another's.
      await clock.sleep(from * 1000 + ((number * 619) % 1000));
      const living = worker(folder, clock, String(number));
      const limiter = new RateLimiter({
        ...{ requestsPerMinute: null, tokensPerMinute: null, completionTokens: 1, clock, random: () => 0.5 },
      });
      limiter.observe({
        'x-ratelimit-limit-requests': String(PER_MINUTE),
        'x-ratelimit-remaining-requests': '0',
      });
      living.start();
      const sending = send(limiter, signal);
      while (!signal.aborted) {
        living.beat();
        limiter.share(1 / living.count);
        await clock.sleep(1000);
      }
      await sending;
    };
    const killed = new AbortController();
    void clock.sleep(KILLED * 1000).then(() => {
      killed.abort();
    });
    const running = [
      run(0, 0, AbortSignal.any([end.signal, killed.signal])),
      ...Array.from({ length: workers - 1 }, (_, number) => run(number + 1, 0, end.signal)),
      run(workers, JOINED, end.signal),
    ];
    await clock.runUntil(TO * 1000);
    end.abort();
    await clock.runUntil(TO * 1000 + 5000);
    await Promise.all(running);
    const allowed = (PER_MINUTE / 60) * (TO - FROM);
    expect(counts.admitted / allowed).toBeGreaterThanOrEqual(0.95);
    expect(counts.throttled / (counts.admitted + counts.throttled)).toBeLessThanOrEqual(0.01);
  },
);
