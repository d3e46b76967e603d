import { describe, expect, it } from 'vitest';
import { Concurrency } from '../../src/requests/concurrency.js';
import type { Processor } from '../../src/requests/processor.js';
import { RateLimiter } from '../../src/requests/rate-limiter.js';
import type { ChatResponse } from '../../src/http/chat-client.js';
import { TimeLeft } from '../../src/session/time-left.js';
import { allowedRate } from '../../src/session/meter.js';
import { FakeClock } from '../support/fake-clock.js';
import { plainProcessor } from '../support/plain-processor.js';
import { completion } from '../support/scripted-api.js';
import { generator, logNormal } from '../support/server-model.js';

interface Scene {
  rows: number;
  /** Milliseconds of an answer. */
  service: (random: () => number) => number;
  /** Answers that the server works on at the same time. */
  slots?: number;
  /** `--max_concurrency`. */
  concurrency?: number;
  perMinute?: number;
  tokensPerMinute?: number;
  /** Requests that are answered with 429, by when they come, and the seconds to wait. */
  pause?: (now: number) => number | null;
}

/** A server, and the figures of the run that works against it, on a clock of their own. */
class Play {
  readonly clock = new FakeClock();
  readonly #random = generator(7);
  #free: number;
  readonly #queue: (() => void)[] = [];
  #done = 0;

  constructor(private readonly scene: Scene) {
    this.#free = scene.slots ?? Infinity;
  }

  readonly #send = async (): Promise<ChatResponse> => {
    const { service, pause, perMinute } = this.scene;
    const wait = pause?.(this.clock.now()) ?? null;
    if (wait !== null) {
      await this.clock.sleep(20);
      return { status: 429, headers: { 'retry-after': String(wait) }, body: Buffer.from('{}') };
    }
    if (this.#free === 0) await new Promise<void>((resolve) => this.#queue.push(resolve));
    else this.#free -= 1;
    await this.clock.sleep(service(this.#random));
    const next = this.#queue.shift();
    if (next === undefined) this.#free += 1;
    else next();
    const headers = perMinute === undefined ? {} : limitHeaders(perMinute);
    return { status: 200, headers, body: Buffer.from(JSON.stringify(completion('yes'))) };
  };

  /** What was foretold at each second, as the time when all is done, and when that was. */
  async run(): Promise<{ foretold: { at: number; end: number | null }[]; end: number }> {
    const { rows, concurrency, tokensPerMinute } = this.scene;
    const { clock } = this;
    const limiter = new RateLimiter({
      requestsPerMinute: null,
      tokensPerMinute: tokensPerMinute ?? null,
      completionTokens: 100,
      clock,
      random: () => 0.5,
    });
    const processor = this.#processor(
      limiter,
      new Concurrency(concurrency ?? 512, concurrency !== undefined, { now: clock.now }),
    );
    const timeLeft = new TimeLeft();
    const foretold: { at: number; end: number | null }[] = [];
    const jobs = Array.from({ length: rows }, (_, row) => ({
      requestIdx: row,
      body: Buffer.from('{"messages":[]}'),
      tokens: 50,
    }));
    let end = 0;
    void processor.run(jobs).then(() => (end = clock.now()));
    for (let now = 0; end === 0 && now < 4e6; now += 500) {
      await clock.runUntil(now);
      timeLeft.add({
        time: now,
        done: this.#done,
        left: rows - this.#done,
        inFlight: processor.inFlight,
        ramp: processor.ramp,
        allowed: allowedRate(limiter),
        pause: limiter.gateMilliseconds,
      });
      const left = timeLeft.estimate;
      if (now % 1000 === 0) foretold.push({ at: now, end: left === null ? null : now + left });
    }
    return { foretold, end };
  }

  #processor(limiter: RateLimiter, concurrency: Concurrency): Processor {
    return plainProcessor({
      transport: { send: this.#send, switchToResponses: () => true },
      limiter,
      concurrency,
      clock: this.clock,
      random: () => 0.5,
      events: {
        answered: () => (this.#done += 1),
        failed: () => (this.#done += 1),
      },
    });
  }
}

function limitHeaders(perMinute: number): Record<string, string> {
  return {
    'x-ratelimit-limit-requests': String(perMinute),
    'x-ratelimit-remaining-requests': String(perMinute - 1),
    'x-ratelimit-reset-requests': '10ms',
  };
}

const steady = (milliseconds: number) => (): number => milliseconds;
/** Closed for so many seconds at a time of the run. */
const closed =
  (from: number, seconds: number) =>
  (now: number): number | null =>
    now >= from && now < from + seconds * 1000 ? Math.ceil((from + seconds * 1000 - now) / 1000) : null;

describe('the time that is left', () => {
  it.each<[string, Scene]>([
    ['a limit of requests', { rows: 1000, service: logNormal(800, 0.5), perMinute: 1500 }],
    [
      'a limit that few requests in flight reach',
      { rows: 300, service: logNormal(300, 0.5), perMinute: 300 },
    ],
    ['a limit of tokens', { rows: 600, service: logNormal(2000, 0.5), tokensPerMinute: 100_000 }],
    ['slow answers, while the requests in flight multiply', { rows: 2500, service: logNormal(6000, 0.4) }],
    ['few rows, while the requests in flight multiply', { rows: 500, service: steady(8000) }],
    ['a server with few slots', { rows: 200, service: steady(200), slots: 2 }],
    ['a server with many slots', { rows: 3000, service: logNormal(1500, 0.5), slots: 60 }],
    ['--max_concurrency', { rows: 400, service: logNormal(1500, 0.5), concurrency: 8 }],
    ['--max_concurrency 1', { rows: 120, service: logNormal(700, 0.5), concurrency: 1 }],
    [
      'a pause of a minute',
      { rows: 1500, service: logNormal(800, 0.5), perMinute: 1200, pause: closed(15_000, 60) },
    ],
  ])('is known within a fifth at most moments after the first tenth: %s', async (_, scene) => {
    const { foretold, end } = await new Play(scene).run();
    const moments = foretold.filter(({ at }) => at >= end / 10);
    // Nobody knows how long the very last answers take.
    const lastAnswers = 2 * scene.service(() => 0.5);
    const right = moments.filter(
      ({ at, end: told }) => told !== null && Math.abs(told - end) <= Math.max((end - at) / 5, lastAnswers),
    );
    expect(right.length / moments.length).toBeGreaterThan(0.7);
  });
});
