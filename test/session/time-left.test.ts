import { describe, expect, it } from 'vitest';
import { playRun, type Asked, type Refusal, type Scene } from '../support/run-play.js';
import { logNormal } from '../support/server-model.js';

interface Expected extends Scene {
  /** Milliseconds that an answer usually takes: the best estimate for the last one. */
  usual: number;
  /** From when on the rest can be known: a stall, or a server that fails, cannot be foreseen. */
  from?: number;
  /** The share of moments that may be wrong: while a pause lasts, or in the middle of a habit. */
  wrong?: number;
}

const lengths =
  (mean: number, deviation: number): Scene['service'] =>
  ({ random }) =>
    logNormal(mean, deviation)(random);
const exactly =
  (milliseconds: number): Scene['service'] =>
  () =>
    milliseconds;
/** Refused in this part of every period, in milliseconds. */
const every =
  (period: number, from: number, refusal: (left: number) => Refusal): NonNullable<Scene['refuses']> =>
  ({ now }) =>
    now % period < from ? null : refusal(period - (now % period));
const seconds = (milliseconds: number): number => Math.ceil(milliseconds / 1000);
/** Answers that are held back in this part of every period. */
const held =
  (period: number, from: number, service: Scene['service']): Scene['service'] =>
  (asked: Asked) =>
    Math.max(0, asked.now % period < from ? 0 : period - (asked.now % period)) + service(asked);

const SCENES: Record<string, Expected> = {
  'a constant pace': { rows: 400, usual: 1500, service: lengths(1500, 0.5), concurrency: 8 },
  'one request at a time': { rows: 120, usual: 700, service: lengths(700, 0.5), concurrency: 1 },
  'a long tail of slow answers': {
    ...{ rows: 600, usual: 1500, service: lengths(1500, 1), concurrency: 8 },
    // The very last answers may be the slowest of all.
    wrong: 0.2,
  },
  'the ramp of slow answers': { rows: 1200, usual: 6000, service: lengths(6000, 0.4) },
  'nothing but the ramp': { rows: 500, usual: 8000, service: exactly(8000) },
  'a hundred rows': { rows: 100, usual: 4000, service: lengths(4000, 0.4) },
  'answers of a minute': { rows: 600, usual: 60_000, service: lengths(60_000, 0.3) },
  'twenty rows': { rows: 20, usual: 2000, service: lengths(2000, 0.4) },
  'the 240 requests of a judge': { rows: 240, usual: 2500, service: lengths(2500, 0.4) },
  'the rest of a run of which nine tenths are done': {
    ...{ rows: 150, usual: 1500, service: lengths(1500, 0.5), concurrency: 8 },
    wrong: 0.2,
  },
  'requests per minute': { rows: 700, usual: 800, service: lengths(800, 0.5), perMinute: 1200 },
  'requests per minute, quick answers': {
    ...{ rows: 300, usual: 300, service: lengths(300, 0.5), perMinute: 300 },
  },
  'requests per minute, slow answers': {
    ...{ rows: 500, usual: 12_000, service: lengths(12_000, 0.3), perMinute: 500 },
  },
  'tokens per minute': {
    ...{ rows: 600, usual: 2000, service: lengths(2000, 0.5), tokensPerMinute: 100_000 },
    wrong: 0.1,
  },
  'a server with two slots': { rows: 200, usual: 200, service: exactly(200), slots: 2 },
  'a server with four slots, slow answers': {
    ...{ rows: 250, usual: 3000, service: lengths(3000, 0.4), slots: 4 },
    // It is found first how many requests in flight the server is worth.
    ...{ from: 32_000, wrong: 0.1 },
  },
  'a server with many slots': {
    rows: 1500,
    usual: 1500,
    service: lengths(1500, 0.4),
    slots: 30,
    wrong: 0.15,
  },
  'a process that is too busy for more requests': {
    ...{ rows: 1200, usual: 3000, service: lengths(3000, 0.4), busyFrom: 60 },
    from: 16_000,
  },
  'a slow machine: too busy for more requests, and answers wait to be read': {
    ...{ rows: 900, usual: 3000, service: lengths(2000, 0.4), slots: 40, busyFrom: 70 },
    from: 14_000,
  },
  'a server that loads its model, and refuses': {
    ...{ rows: 500, usual: 1500, service: lengths(1500, 0.4), slots: 16 },
    refuses: ({ now }) => (now < 40_000 ? { status: 503, wait: 5 } : null),
    wrong: 0.05,
  },
  'a server that loads its model, and lets the first request wait': {
    ...{ rows: 500, usual: 1500, slots: 16 },
    service: (asked) => (asked.now === 0 ? 30_000 : logNormal(1500, 0.4)(asked.random)),
    wrong: 0.1,
  },
  'single failures': {
    ...{ rows: 600, usual: 1000, service: lengths(1000, 0.4), concurrency: 16 },
    refuses: ({ random }) => (random() < 0.2 ? { status: 500, after: 500 } : null),
    // One of the last rows may fail again and again.
    wrong: 0.25,
  },
  'bursts of failures': {
    ...{ rows: 1000, usual: 800, service: lengths(800, 0.4), concurrency: 8 },
    refuses: every(20_000, 17_000, () => ({ status: 500, after: 100 })),
    ...{ from: 45_000, wrong: 0.25 },
  },
  'one stall of half a minute': {
    ...{ rows: 1000, usual: 800, concurrency: 12 },
    service: ({ now, random }) =>
      (now > 25_000 && now < 55_000 ? 55_000 - now : 0) + logNormal(800, 0.4)(random),
    from: 55_000,
  },
  'stalls again and again': {
    ...{ rows: 1500, usual: 800, service: held(20_000, 15_000, lengths(800, 0.4)), concurrency: 8 },
    ...{ from: 45_000, wrong: 0.25 },
  },
  'a pause of a minute': {
    ...{ rows: 1500, usual: 800, service: lengths(800, 0.5), perMinute: 1200 },
    refuses: ({ now }) =>
      now < 15_000 || now > 75_000 ? null : { status: 429, wait: seconds(75_000 - now) },
    from: 16_000,
  },
  'pauses again and again': {
    ...{ rows: 1200, usual: 800, service: lengths(800, 0.5), concurrency: 5 },
    refuses: every(40_000, 30_000, (left) => ({ status: 429, wait: seconds(left) })),
    ...{ from: 85_000, wrong: 0.25 },
  },
  'several servers': {
    ...{ rows: 1400, usual: 1500, service: lengths(1500, 0.4), slots: 12, servers: 3 },
    wrong: 0.1,
  },
  'several servers of which one dies': {
    ...{ rows: 1500, usual: 1500, service: lengths(1500, 0.4), concurrency: 8, servers: 3 },
    refuses: ({ server, now }) => (server === 1 && now > 20_000 ? { status: 503 } : null),
    from: 45_000,
  },
  'hours at which nothing is sent': {
    ...{ rows: 700, usual: 1500, service: lengths(1500, 0.4), concurrency: 10 },
    closedFor: (now) => (now > 60_000 && now < 600_000 ? 600_000 - now : 0),
  },
};

/** Nobody minds a second or two. */
const LEAST_ERROR_MS = 1500;

describe('the time that is left', () => {
  it.each(Object.entries(SCENES))(
    'is known within a fifth after the first tenth: %s',
    async (_, { usual, from = 0, wrong = 0.02, ...scene }) => {
      const { predicted, end } = await playRun(scene);
      const moments = predicted.filter(
        ({ at, done }) => at >= Math.max(from, 2000) && done >= scene.rows / 10 && done < scene.rows,
      );
      const errors = moments.filter(
        ({ at, left }) =>
          left === null || Math.abs(left - (end - at)) > Math.max((end - at) / 5, 2 * usual, LEAST_ERROR_MS),
      );
      const shown = errors.map(({ at, left }) => `${at}: ${left ?? 'nothing'} of ${end - at}`);
      expect(errors.length, shown.join('\n')).toBeLessThanOrEqual(wrong * moments.length);
    },
  );
});
