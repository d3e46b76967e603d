/** How sending went over time, in steps that hold enough answers to show more than noise. */

import { latencyAt, type RecordedTimeline } from '../run/timeline.js';
import type { OverTime, TimeStep } from './data.js';

const MOST_STEPS = 40;
/** The average number of answers in a step, and its length, are at least these. */
const FEWEST_ANSWERS = 20;
const SHORTEST_MS = 1000;
/** Lengths of a step that people count in, in seconds; beyond them days. */
const ROUND_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200];
const DAY_SECONDS = 86_400;

type Recorded = RecordedTimeline['steps'][number];

/**
 * @param cost US dollars of the whole run, spread by tokens; null where it is not known, or not spent online
 */
export function overTime({ step, length, steps }: RecordedTimeline, cost: number | null): OverTime | null {
  const answers = steps.reduce((sum, one) => sum + one.answers, 0);
  const tokens = steps.reduce((sum, one) => sum + one.tokens, 0);
  if (steps.length === 0) return null;
  const whole = Math.max(length, steps.length * step - step, 1);
  const wanted = Math.min(MOST_STEPS, Math.max(1, Math.floor(answers / FEWEST_ANSWERS)));
  const wide = roundLength(Math.max(SHORTEST_MS, whole / wanted));
  // Recorded steps are kept whole.
  const each = Math.max(1, Math.round(wide / step));
  const made: TimeStep[] = [];
  let seen = 0;
  for (let from = 0; from < steps.length; from += each) {
    const part = steps.slice(from, from + each);
    seen += part.reduce((sum, one) => sum + one.tokens, 0);
    const spent = cost === null || tokens === 0 ? null : cost * (seen / tokens);
    made.push(timeStep(part, Math.min(each * step, Math.max(step, whole - from * step)), spent));
  }
  return { step: each * step, steps: made };
}

/** What a batch came to, and when. */
interface TimedBatch {
  /** Seconds since 1970. */
  createdAt: number;
  /** Null where it has not ended. */
  endedAt: number | null;
  /** Requests that were answered. */
  answers: number;
}

/**
 * What batches cost over time: each is billed when it ends, by its share of the answers.
 * @param cost US dollars of the whole run
 * @returns null where nothing can be shown over time
 */
export function batchesOverTime(batches: readonly TimedBatch[], cost: number): OverTime | null {
  const start = Math.min(...batches.map(({ createdAt }) => createdAt));
  const ended = batches.flatMap(({ endedAt, answers }) =>
    endedAt === null ? [] : [{ after: (endedAt - start) * 1000, answers }],
  );
  const all = ended.reduce((sum, { answers }) => sum + answers, 0);
  const whole = Math.max(0, ...ended.map(({ after }) => after));
  if (all === 0 || !Number.isFinite(start) || whole <= 0) return null;
  const step = roundLength(Math.max(SHORTEST_MS, whole / MOST_STEPS));
  const steps = Array.from({ length: Math.floor(whole / step) + 1 }, (_, place): TimeStep => {
    const seen = ended
      .filter(({ after }) => after < (place + 1) * step)
      .reduce((sum, { answers }) => sum + answers, 0);
    const spent = cost * (seen / all);
    return { length: step, answers: 0, throttled: 0, failures: 0, median: null, p95: null, spent };
  });
  return { step, steps };
}

function timeStep(part: readonly Recorded[], length: number, spent: number | null): TimeStep {
  const sum = (name: 'answers' | 'throttled' | 'failures'): number =>
    part.reduce((total, one) => total + one[name], 0);
  const latencies = allLatencies({ steps: part });
  return {
    length,
    answers: sum('answers'),
    throttled: sum('throttled'),
    failures: sum('failures'),
    median: latencyAt(0.5, latencies),
    p95: latencyAt(0.95, latencies),
    spent,
  };
}

/** Answers by the classes of their latencies, over all steps. */
export function allLatencies({ steps }: { steps: readonly Recorded[] }): number[] {
  const sums: number[] = [];
  for (const { latencies } of steps)
    for (const [place, answers] of latencies.entries()) sums[place] = (sums[place] ?? 0) + answers;
  return sums;
}

function roundLength(milliseconds: number): number {
  const seconds = milliseconds / 1000;
  const round = ROUND_SECONDS.find((one) => one >= seconds);
  return 1000 * (round ?? Math.ceil(seconds / DAY_SECONDS) * DAY_SECONDS);
}
