import { describe, expect, it } from 'vitest';
import { Concurrency } from '../../src/requests/concurrency.js';
import { Crowding, type Cause } from '../../src/requests/crowding.js';
import { isAboutConcurrency } from '../../src/requests/rate-limiter.js';

/** What follows from requests sent while so many were awaited; negative ones were refused. */
function causeOf(outcomes: readonly number[], isKnown = false): Cause {
  const crowding = new Crowding();
  for (const outcome of outcomes) crowding.add(Math.abs(outcome), outcome < 0);
  return crowding.cause(isKnown);
}

const countUp = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);
const refused = (loads: readonly number[]): number[] => loads.map((load) => -load);

describe('refusals that name no limit', () => {
  it.each<[string, number[], Cause]>([
    [
      'beyond a number of requests at a time',
      [...countUp(1, 4), ...refused(countUp(5, 16))],
      { kind: 'places', places: 4 },
    ],
    ['beyond one', [1, 1, 1, -2, -3, -2], { kind: 'places', places: 1 }],
    [
      'beyond a number, but for one that came too early',
      [...countUp(1, 8), -9, -9, -8, -10, -9],
      { kind: 'places', places: 8 },
    ],
    ['beyond a number that many reach', [...countUp(1, 40), -41, -42, -43], { kind: 'places', places: 40 }],
    [
      'whatever the number is',
      [1, 5, 9, 13, -1, -3, -5, -7, -9, -11, -13, -15, 2, 6, 10, 14],
      { kind: 'other' },
    ],
    ['all of them, even alone', refused([1, 1, 1, 1, 1, 1, 1, 1]), { kind: 'other' }],
    [
      'after so many, as a quota does',
      [...countUp(1, 16), ...refused([16, 15, 14, 13, 12, 11, 10, 9, 8])],
      { kind: 'other' },
    ],
    [
      'beyond a number, though one more is often taken',
      [...Array.from({ length: 40 }, () => 6), 7, 7, 7, 7, 7, 7, ...refused([7, 7, 7, 7, 7, 7, 7, 7])],
      { kind: 'unknown' },
    ],
    ['too rarely to tell', [1, 2, 3, 4, -5, -6], { kind: 'unknown' }],
    ['never', [1, 2, 3], { kind: 'unknown' }],
  ])('come %s', (_, outcomes, cause) => {
    expect(causeOf(outcomes)).toEqual(cause);
  });

  it('are believed at once where the server is known for it', () => {
    expect(causeOf([1, 2, 3, 4, -5], true)).toEqual({ kind: 'places', places: 4 });
  });

  it('are forgotten after a while', () => {
    expect(causeOf([...refused(countUp(5, 16)), ...Array.from({ length: 64 }, () => 20)])).toEqual({
      kind: 'unknown',
    });
  });
});

describe('the number of requests in flight', () => {
  const exchanged = (awaited: number, sentAt: number) => ({
    sentAt,
    awaited,
    inFlight: awaited,
    turn: 1,
    latency: 5,
  });
  const unnamed = { isNamed: false, isCertain: true };

  /** One of which sixteen were sent at once to a server that takes four. */
  function crowded(clock: { now: number }): Concurrency {
    const concurrency = new Concurrency(64, false, { now: () => clock.now });
    for (const awaited of [1, 2, 3, 4]) concurrency.succeeded(exchanged(awaited, 0));
    clock.now = 10;
    for (let awaited = 5; awaited <= 16; awaited++) concurrency.refused(exchanged(awaited, 10), unnamed);
    return concurrency;
  }

  it('is what the server takes, once it refuses all beyond that', () => {
    expect(crowded({ now: 0 }).limit).toBe(4);
  });

  it('does not count what was refused among what is awaited', () => {
    const concurrency = new Concurrency(64, false, { now: () => 0 });
    const sent = Array.from({ length: 4 }, () => concurrency.begin());
    expect(sent.map(({ awaited }) => awaited)).toEqual([1, 2, 3, 4]);
    for (const [place, exchange] of sent.entries()) {
      concurrency.end(exchange);
      if (place === 1 || place === 2) concurrency.refused(exchange, unnamed);
    }
    expect(sent.map(({ awaited }) => awaited)).toEqual([1, 2, 2, 2]);
    expect(concurrency.begin().awaited).toBe(1);
  });

  it('stays while a pause may help, or where refusals have another cause', () => {
    const concurrency = new Concurrency(64, false, { now: () => 0 });
    concurrency.succeeded(exchanged(1, 0));
    for (const awaited of [5, 6, 7, 8])
      expect(concurrency.refused(exchanged(awaited, 0), { isNamed: false, isCertain: false })).toBe(
        awaited > 6,
      );
    expect(concurrency.limit).toBe(16);
    for (const awaited of [1, 2, 1, 2, 9, 9, 9, 9]) concurrency.succeeded(exchanged(awaited, 0));
    for (const awaited of [1, 1, 1, 1, 1, 1]) concurrency.refused(exchanged(awaited, 0), unnamed);
    expect(concurrency.limit).toBe(16);
  });

  it('follows a message that names it at once', () => {
    const concurrency = new Concurrency(64, false, { now: () => 0 });
    expect(concurrency.refused(exchanged(3, 0), { isNamed: true, isCertain: true })).toBe(true);
    expect(concurrency.limit).toBe(2);
  });

  it('is what it was before where refusals turn out to have another cause', () => {
    const clock = { now: 0 };
    const concurrency = crowded(clock);
    clock.now = 20;
    for (let times = 0; times < 16; times++) concurrency.refused(exchanged(1, 0), unnamed);
    expect(concurrency.limit).toBe(16);
  });

  it('is tried one higher from time to time, ever more rarely where that is in vain', () => {
    const clock = { now: 0 };
    const concurrency = crowded(clock);
    const answersUntilMore = (): number => {
      for (let answers = 1; ; answers++) {
        while (concurrency.inFlight < concurrency.limit) void concurrency.enter();
        concurrency.succeeded(exchanged(4, clock.now));
        if (concurrency.limit > 4) return answers;
      }
    };
    const counts = [1, 2, 3].map(() => {
      const answers = answersUntilMore();
      clock.now += 10;
      concurrency.refused(exchanged(5, clock.now), unnamed);
      expect(concurrency.limit).toBe(4);
      return answers;
    });
    expect(counts).toEqual([4, 8, 16]);
  });
});

describe('a refusal', () => {
  it.each([
    'Your account org-1 request reached max organization concurrency: 1, please try again after 1 seconds',
    'High concurrency usage of this API, please reduce concurrency',
    'Concurrency limit reached for requests',
    'Number of concurrent connections has exceeded your rate limit',
    'Rate limit of 2 per 0s exceeded for UserConcurrentRequests',
    'Too many parallel requests',
    '当前并发数过高',
  ])('is about requests at a time: %s', (message) => {
    expect(isAboutConcurrency(message)).toBe(true);
  });

  it.each(['Rate limit reached for requests', 'Too Many Requests', 'The engine is currently overloaded'])(
    'is not: %s',
    (message) => {
      expect(isAboutConcurrency(message)).toBe(false);
    },
  );
});
