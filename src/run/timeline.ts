/**
 * How a run went over time: what was answered, how fast, and what went wrong, in a bounded number of steps. When all are
 * used, two neighbours become one, so that a run of a minute and one of a week take the same room.
 */

import { isObject } from '../lib/json.js';

const STEPS = 240;
const FIRST_STEP_MS = 100;
/** Latencies are counted by powers of this from `FASTEST_MS` on: within a fifth is near enough. */
const LATENCY_RATIO = 1.2;
const FASTEST_MS = 10;
const LATENCY_CLASSES = 72;

/** One step; an answer's latency counts in the class that its milliseconds fall into. */
interface Step {
  answers: number;
  tokens: number;
  throttled: number;
  failures: number;
  /** Counts by class; those beyond the end are 0. */
  latencies: number[];
}

/** A timeline as it is written. */
export interface RecordedTimeline {
  /** Milliseconds of asking that one step covers. */
  step: number;
  /** Milliseconds of asking in all. */
  length: number;
  steps: Step[];
}

export class Timeline {
  #steps: Step[];
  #step: number;
  readonly #before: number;
  /** When the first exchange of this session ended; null until then. */
  #started: number | null = null;

  /** @param earlier what `record` gave in an earlier session; anything else is nothing */
  constructor(
    earlier: unknown,
    private readonly now: () => number = () => performance.now(),
  ) {
    const recorded = readTimeline(earlier);
    this.#steps = recorded?.steps ?? [];
    this.#step = recorded?.step ?? FIRST_STEP_MS;
    this.#before = recorded?.length ?? 0;
  }

  /** An exchange ended: with an answer, with 429, or otherwise. */
  exchanged(latency: number, kind: string): void {
    const step = this.#current();
    if (kind === 'answer') {
      step.answers += 1;
      const place = latencyClass(latency);
      while (step.latencies.length <= place) step.latencies.push(0);
      step.latencies[place] = (step.latencies[place] ?? 0) + 1;
    } else if (kind === 'throttle') step.throttled += 1;
    else step.failures += 1;
  }

  /** Tokens of an answer. */
  spent(tokens: number): void {
    this.#current().tokens += tokens;
  }

  /** What to write; null if nothing happened. */
  get record(): RecordedTimeline | null {
    if (this.#steps.length === 0) return null;
    return { step: this.#step, length: Math.round(this.#elapsed), steps: this.#steps };
  }

  get #elapsed(): number {
    return this.#before + (this.#started === null ? 0 : this.now() - this.#started);
  }

  #current(): Step {
    this.#started ??= this.now();
    const elapsed = this.#elapsed;
    while (elapsed >= this.#step * STEPS) this.#halve();
    const place = Math.floor(elapsed / this.#step);
    while (this.#steps.length <= place) this.#steps.push(emptyStep());
    return this.#steps[place] as Step;
  }

  #halve(): void {
    const merged: Step[] = [];
    for (let place = 0; place < this.#steps.length; place += 2)
      merged.push(sumOf(this.#steps[place] as Step, this.#steps[place + 1] ?? emptyStep()));
    this.#steps = merged;
    this.#step *= 2;
  }
}

function emptyStep(): Step {
  return { answers: 0, tokens: 0, throttled: 0, failures: 0, latencies: [] };
}

function sumOf(one: Step, other: Step): Step {
  const classes = Math.max(one.latencies.length, other.latencies.length);
  return {
    answers: one.answers + other.answers,
    tokens: one.tokens + other.tokens,
    throttled: one.throttled + other.throttled,
    failures: one.failures + other.failures,
    latencies: Array.from(
      { length: classes },
      (_, place) => (one.latencies[place] ?? 0) + (other.latencies[place] ?? 0),
    ),
  };
}

function latencyClass(latency: number): number {
  const place = Math.floor(Math.log(Math.max(1, latency / FASTEST_MS)) / Math.log(LATENCY_RATIO));
  return Math.min(LATENCY_CLASSES - 1, place);
}

/**
 * The latency below which a share of a step's answers came.
 * @returns milliseconds; null where nothing was answered
 */
export function latencyAt(share: number, latencies: readonly number[]): number | null {
  const all = latencies.reduce((sum, answers) => sum + answers, 0);
  if (all === 0) return null;
  let seen = 0;
  const place = latencies.findIndex((answers) => (seen += answers) >= all * share);
  return FASTEST_MS * LATENCY_RATIO ** (place + 0.5);
}

/** A timeline as it was written; null for anything else. */
export function readTimeline(value: unknown): RecordedTimeline | null {
  if (!isObject(value) || !Array.isArray(value['steps']) || value['steps'].length > STEPS) return null;
  const { step, length } = value;
  if (!isAmount(step) || !isAmount(length) || step < FIRST_STEP_MS || length > step * STEPS) return null;
  const steps = value['steps'].map(readStep);
  return steps.every((one) => one !== null) ? { step, length, steps } : null;
}

function readStep(value: unknown): Step | null {
  if (!isObject(value)) return null;
  const { answers, tokens, throttled, failures, latencies } = value;
  if (!isAmount(answers) || !isAmount(tokens) || !isAmount(throttled) || !isAmount(failures)) return null;
  if (!Array.isArray(latencies) || latencies.length > LATENCY_CLASSES || !latencies.every(isAmount))
    return null;
  return { answers, tokens, throttled, failures, latencies };
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
