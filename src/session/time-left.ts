/**
 * How long a run still takes. Its rate is that of a sliding window which begins after the ramp, in which the requests in
 * flight multiply with every answer's time; while that goes on, it is followed to where it will lead. Pauses that the
 * server asks for are added, not taken for slowness.
 */

import type { Ramp } from '../requests/concurrency.js';

/** The window holds at least so much time, so many times the latency, and so many rows, once there are as many. */
const WINDOW_MS = 5000;
const WINDOW_LATENCIES = 3;
const WINDOW_ROWS = 120;
/** With less than this, what is in flight and how long an answer takes tells more of the rate. */
const FEWEST_ROWS = 10;
const FEWEST_LATENCIES = 2;
/** Readings closer to each other than this share of the window are one. */
const GRAIN = 0.01;
/** A pause shorter than this is a part of the pace. */
const SHORTEST_PAUSE_MS = 2000;
/** Steps of growth of the requests in flight that are followed at most. */
const MOST_STEPS = 12;
/** The estimate follows new ones within this share of itself, so that it settles instead of jumping. */
const SETTLING_SHARE = 0.05;
const SETTLING_MOST_MS = 5000;

/** What is seen of a run at a moment. */
export interface Reading {
  /** Milliseconds. */
  time: number;
  /** Rows that are done with, of this session. */
  done: number;
  /** Rows that are not. */
  left: number;
  inFlight: number;
  ramp: Ramp;
  /** Rows a millisecond that the limits allow; Infinity where there are none. */
  allowed: number;
  /** Milliseconds until requests may be sent again; 0 where they may. */
  pause: number;
}

interface Sample {
  /** Milliseconds without pauses. */
  worked: number;
  done: number;
}

export class TimeLeft {
  readonly #samples: Sample[] = [];
  #last: Reading | null = null;
  #worked = 0;
  /** When the requests in flight last became more, without pauses. */
  #steadySince = 0;
  #isPausing = false;
  /** Pauses that are over, and the time since the first of them began, with and without them. */
  #pauses = 0;
  #paused = 0;
  #workedBeforePauses = 0;
  #shown: { milliseconds: number; at: number } | null = null;

  /** Takes what is seen now; to be called at least every second. */
  add(reading: Reading): void {
    const passed = this.#last === null ? 0 : reading.time - this.#last.time;
    this.#pass(passed, reading.pause);
    this.#last = reading;
    if (reading.ramp.isGrowing) this.#steadySince = this.#worked;
    const before = this.#samples.at(-1);
    if (before !== undefined && this.#worked - before.worked < GRAIN * this.#span) return;
    this.#samples.push({ worked: this.#worked, done: reading.done });
    while (this.#isBeyondWindow(this.#samples[1])) this.#samples.shift();
  }

  #pass(milliseconds: number, pause: number): void {
    if (this.#isPausing) this.#paused += milliseconds;
    else this.#worked += milliseconds;
    const isPausing = pause > (this.#isPausing ? 0 : SHORTEST_PAUSE_MS);
    if (isPausing && !this.#isPausing && this.#pauses === 0) this.#workedBeforePauses = this.#worked;
    if (!isPausing && this.#isPausing) this.#pauses += 1;
    this.#isPausing = isPausing;
  }

  get #span(): number {
    return Math.max(WINDOW_MS, WINDOW_LATENCIES * (this.#last?.ramp.latency ?? 0));
  }

  #isBeyondWindow(sample: Sample | undefined): boolean {
    if (sample === undefined || this.#last === null) return false;
    return this.#worked - sample.worked > this.#span && this.#last.done - sample.done > WINDOW_ROWS;
  }

  /** Rows a millisecond, over the window; 0 before the first ones. */
  get rate(): number {
    return rateBetween(this.#samples[0], this.#now);
  }

  get #now(): Sample {
    return { worked: this.#worked, done: this.#last?.done ?? 0 };
  }

  /** Milliseconds until all rows are done with; null where nothing tells. */
  get estimate(): number | null {
    const reading = this.#last;
    const target = reading === null ? null : this.#target(reading);
    if (reading === null || target === null) return null;
    return reading.pause + this.#settled(target);
  }

  /** Milliseconds of work, as they settle. */
  #settled(target: number): number {
    const { milliseconds: before, at } = this.#shown ?? { milliseconds: target, at: this.#worked };
    const passed = this.#worked - at;
    const expected = Math.max(0, before - passed);
    const settling = Math.min(SETTLING_MOST_MS, SETTLING_SHARE * target) + 1;
    const milliseconds = expected + (target - expected) * (1 - Math.exp(-passed / settling));
    this.#shown = { milliseconds, at: this.#worked };
    return milliseconds;
  }

  #target({ left, inFlight, ramp, allowed }: Reading): number | null {
    if (left === 0) return 0;
    const work = ramp.isGrowing ? whileGrowing(left, ramp, allowed) : this.#steadily(left);
    if (work === null) return null;
    return work * this.#slowdown + untilTheLast(Math.min(left, inFlight), ramp);
  }

  /** One pause is an accident; those that come again and again will go on. */
  get #slowdown(): number {
    const worked = this.#worked - this.#workedBeforePauses;
    return this.#pauses < 2 || worked <= 0 ? 1 : (worked + this.#paused) / worked;
  }

  #steadily(left: number): number | null {
    const rate = this.#steadyRate();
    return rate === 0 ? null : left / rate;
  }

  #steadyRate(): number {
    const { ramp, inFlight, allowed } = this.#last as Reading;
    const first = this.#samples.find(({ worked }) => worked >= this.#steadySince);
    const measured = rateBetween(first, this.#now);
    const { latency } = ramp;
    if (latency === null || first === undefined) return measured;
    const isMeasured =
      this.#now.done - first.done >= FEWEST_ROWS && this.#worked - first.worked >= FEWEST_LATENCIES * latency;
    return isMeasured ? measured : Math.min(allowed, inFlight / Math.max(1, latency));
  }
}

function rateBetween(first: Sample | undefined, now: Sample): number {
  const milliseconds = now.worked - (first?.worked ?? now.worked);
  return milliseconds <= 0 ? 0 : (now.done - (first?.done ?? 0)) / milliseconds;
}

/** Milliseconds for rows while the requests in flight multiply with every answer's time, up to what is allowed. */
function whileGrowing(left: number, ramp: Ramp, allowed: number): number | null {
  const { limit, maximum, latency, growth } = ramp;
  if (latency === null) return null;
  const perLimit = 1 / Math.max(1, latency);
  let rows = left;
  // What was sent before the last step is half done.
  let milliseconds = latency / 2;
  let inFlight = limit;
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    if (inFlight >= maximum || inFlight * perLimit >= allowed || rows <= inFlight) break;
    rows -= inFlight;
    milliseconds += latency;
    inFlight = Math.min(maximum, inFlight * growth);
  }
  return milliseconds + rows / Math.min(allowed, inFlight * perLimit);
}

/**
 * Milliseconds that the last of the requests in flight takes longer than an answer usually does: of many, one is slow.
 * Latencies have about a logarithmic normal distribution.
 */
function untilTheLast(requests: number, { latency, variation }: Ramp): number {
  if (latency === null || requests < 2) return 0;
  const deviation = Math.sqrt(Math.log(1 + variation ** 2));
  const root = Math.sqrt(2 * Math.log(requests));
  // The expected maximum of so many normal variables (David and Nagaraja, Order Statistics, 10.5).
  const highest = Math.max(0.5, root - (Math.log(Math.log(requests)) + Math.log(4 * Math.PI)) / (2 * root));
  return latency * Math.max(0, Math.exp(deviation * highest - deviation ** 2 / 2) - 1);
}
