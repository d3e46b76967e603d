import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { RateLimiter } from '../../src/requests/rate-limiter.js';
import { LivingWorkers } from '../../src/shards/living.js';
import { FakeClock } from '../support/fake-clock.js';
import { temporaryFolder } from '../support/cli.js';

it('workers count each other, and one without signs of life for nine seconds no more', async () => {
  const [folder, clock] = [temporaryFolder(), new FakeClock()];
  const workers = [1, 2, 3].map(() => new LivingWorkers(folder, clock));
  for (const worker of workers) {
    worker.start();
    onTestFinished(() => {
      worker.stop();
    });
  }
  const [first, second, third] = workers as [LivingWorkers, LivingWorkers, LivingWorkers];
  for (const worker of workers) worker.beat();
  expect(workers.map(({ count }) => count)).toEqual([3, 3, 3]);
  // The third one freezes; the second one ends.
  second.stop();
  for (let seconds = 2; seconds <= 12; seconds += 2) {
    await clock.runUntil(seconds * 1000);
    first.beat();
    // By the clock of the one that looks, which saw the last sign of life at 2 seconds at the latest.
    expect(first.count).toBe(seconds < 12 ? 2 : 1);
  }
  // A frozen one that comes back counts again.
  third.beat();
  await clock.runUntil(14_000);
  first.beat();
  expect(first.count).toBe(2);
  first.stop();
  third.stop();
  expect(readdirSync(join(folder, 'workers'))).toEqual([]);
});

it.each([1, 4, 10])('%i workers that share a limit send no more than it together', async (workers) => {
  const clock = new FakeClock();
  let sent = 0;
  const stop = new AbortController();
  const send = async (): Promise<void> => {
    const limiter = new RateLimiter({
      requestsPerMinute: 600,
      tokensPerMinute: null,
      completionTokens: 1,
      clock,
    });
    limiter.share(1 / workers);
    while (await (limiter.acquire({ tokens: 1 }, stop.signal) ?? true)) sent += 1;
  };
  const running = Array.from({ length: workers }, send);
  await clock.runUntil(120_000);
  stop.abort();
  await clock.runUntil(130_000);
  await Promise.all(running);
  expect(sent).toBeLessThanOrEqual(1200 * 1.02);
  expect(sent).toBeGreaterThanOrEqual(1200 * 0.93);
});
