import { describe, expect, it } from 'vitest';
import { TooSlow } from '../../src/http/minimum-rate.js';
import {
  backOff,
  isTransientStatus,
  pauseAfter,
  requestedWait,
  triesAfter,
  withRetries,
  type Try,
} from '../../src/http/retry.js';

/** What happens where a call fails in some ways, one after the other, and then succeeds. */
async function attempts(
  failures: readonly Partial<Extract<Try<string>, { problem: Error }>>[],
  longestWait = Infinity,
): Promise<{ outcome: string; waits: number[]; tries: number }> {
  const waits: number[] = [];
  let tries = 0;
  const outcome = await withRetries<string>(
    () => {
      const failure = failures[tries++];
      return Promise.resolve(
        failure === undefined
          ? { value: 'done' }
          : { problem: new Error('no'), tries: 6, asked: null, ...failure },
      );
    },
    {
      random: () => 1,
      longestWait,
      pause: (milliseconds) => {
        waits.push(milliseconds);
        return Promise.resolve();
      },
    },
  ).catch((error: unknown) => String(error));
  return { outcome, waits, tries };
}

describe('a call that failed', () => {
  it('is retried after growing pauses, six times in total', async () => {
    expect(await attempts(Array.from({ length: 9 }, () => ({})))).toEqual({
      outcome: 'Error: no',
      waits: [1000, 2000, 4000, 8000, 16_000],
      tries: 6,
    });
    expect(await attempts([{}, {}])).toMatchObject({ outcome: 'done', tries: 3 });
  });

  it('waits as long as the server asks, up to a bound', async () => {
    expect((await attempts([{ asked: 7000 }])).waits).toEqual([7500]);
    expect((await attempts([{ asked: 7000 }], 5000)).waits).toEqual([5500]);
  });

  it('is not retried if that changes nothing, and gives the result of its last attempt', async () => {
    expect(await attempts([{ tries: 1 }])).toMatchObject({ outcome: 'Error: no', tries: 1 });
    expect(
      await attempts([
        { tries: 2, fallback: '503' },
        { tries: 2, fallback: '503' },
      ]),
    ).toMatchObject({
      outcome: '503',
      tries: 2,
    });
  });

  it.each([
    ['ECONNREFUSED', 3],
    ['ENOTFOUND', 3],
    ['EAI_AGAIN', 3],
    ['ECONNRESET', 6],
    ['UND_ERR_SOCKET', 6],
  ])('with %s is made %i times', (code, tries) => {
    expect(triesAfter(new Error('fetch failed', { cause: Object.assign(new Error(), { code }) }))).toBe(
      tries,
    );
  });

  it('that drips is retried once', () => {
    expect(triesAfter(new TooSlow(3, 60))).toBe(2);
  });
});

describe('a status', () => {
  it.each([
    [[408, 429, 500, 502, 503, 504, 520, 529], true],
    [[200, 301, 400, 401, 403, 404, 409, 413, 422, 501, 507], false],
  ])('%j may pass: %s', (statuses, isTransient) => {
    for (const status of statuses) expect(isTransientStatus(status), String(status)).toBe(isTransient);
  });
});

describe('a pause', () => {
  it('grows up to a minute, with full jitter', () => {
    expect([1, 2, 7, 30].map((attempt) => backOff(attempt, () => 1))).toEqual([1000, 2000, 60_000, 60_000]);
    expect(backOff(5, () => 0)).toBe(0);
    expect(backOff(30, () => 0.5, 30_000)).toBe(15_000);
  });

  it('is never shorter than what the server asks for', () => {
    expect(pauseAfter(1, 3000, () => 0)).toBe(3000);
    expect(pauseAfter(6, 3000, () => 1)).toBe(3500);
  });

  it.each([
    [{ 'retry-after': '4' }, 4000],
    [{ ratelimit: '"api";r=0;t=55' }, 55_000],
    [{ ratelimit: '"api";r=12;t=55' }, null],
    [{}, null],
  ])('that %j asks for: %s', (headers, wait) => {
    expect(requestedWait(headers as Record<string, string>)).toBe(wait);
  });
});
