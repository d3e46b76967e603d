/**
 * How long a run still takes: the time until its last request is sent, and the time until the slowest of those in flight
 * is answered. Requests are sent at the rate of a sliding window, or as `forecast.ts` foresees it while there is none:
 * their number in flight multiplies at the start with every answer's time. Pauses that the server asks for, and silences,
 * are not mistaken for slowness; if they recur, they are expected to continue.
 */

import type { Ramp } from '../requests/concurrency.js';
import { foresee, untilAllAnswered } from './forecast.js';
import { LatencyCounts, type Cohort, type LatencyCurve } from './latency-curve.js';

/** The window is this share of the time since the pace became steady, within these bounds, and holds at least this many latencies and rows. */
const WINDOW_SHARE = 0.6;
const SHORTEST_WINDOW_MS = 5000;
const LONGEST_WINDOW_MS = 120_000;
const WINDOW_LATENCIES = 3;
const WINDOW_ROWS = 120;
/** Requests in flight no longer grow if they have not for this many latencies. */
const GROWTH_LATENCIES = 1.5;
/** With less than this, requests in flight and their latency give a better estimate of the rate. */
const FEWEST_ROWS = 10;
const FEWEST_LATENCIES = 2;
/** Where the rate limits set the pace, it is visible after so long. */
const SHORTEST_PACE_MS = 3000;
/** The rate limits set the pace where fewer requests are in flight than this share of those that may be. */
const BUSY_SHARE = 0.8;
/** A rate that is this many times the earlier one is rising. */
const RISE = 1.3;
/** Readings closer to each other than this share of the window are one. */
const GRAIN = 0.01;
/** A pause shorter than this is a part of the pace. */
const SHORTEST_PAUSE_MS = 2000;
/** No answer for this many times the 99th percentile of the latency is a silence. */
const SILENCE_LATENCIES = 2;
/** Pauses and silences from which on more are expected. */
const HABIT = 2;
/** Pauses that are taken out of the time that a row took. */
const PAUSES_REMEMBERED = 8;
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
  /** Rows that are done with or in flight. */
  sent: number;
}

/** The hours at which requests are sent. */
export interface OpenHours {
  /** Milliseconds until they begin; 0 where they have. */
  wait(): number;
  /** Milliseconds, including closed hours, that this many milliseconds of open hours take. */
  lasting(milliseconds: number): number;
}

export class TimeLeft {
  readonly #samples: Sample[] = [];
  readonly #latencies = new LatencyCounts();
  #curve: LatencyCurve | null = null;
  #last: Reading | null = null;
  #worked = 0;
  /** When the requests in flight last became more, without pauses. */
  #steadySince = 0;
  /** When a row was last done with. */
  #lastDone = { time: 0, worked: 0, rows: 0 };
  #isPausing = false;
  #pausedAt = 0;
  readonly #recentPauses: { from: number; to: number }[] = [];
  /** Pauses that are over, and how long they and the one now took. */
  #pauses = 0;
  #paused = 0;
  /** Rows a millisecond that a server answers one after the other; null where it answers as many as are sent. */
  #queueRate: number | null = null;
  #shown: { milliseconds: number; at: number } | null = null;

  /** @param hours null where requests may be sent at any time */
  constructor(private readonly hours: OpenHours | null = null) {}

  /**
   * A row was answered.
   * @param startedAt when it was sent for the first time
   * @param now both by the clock of the readings
   */
  answered(startedAt: number, now: number): void {
    const pauses = this.#isPausing
      ? [...this.#recentPauses, { from: this.#pausedAt, to: now }]
      : this.#recentPauses;
    const paused = pauses.reduce(
      (sum, { from, to }) => sum + Math.max(0, Math.min(to, now) - Math.max(from, startedAt)),
      0,
    );
    this.#latencies.add(Math.max(1, now - startedAt - paused));
  }

  /** Takes what is seen now; to be called at least every second. */
  add(reading: Reading): void {
    const before = this.#last;
    this.#last = reading;
    // The time before the first answer is no measure: a server may be loading its model.
    if (before === null || before.done === 0) this.#begin();
    else this.#pass(reading.time - before.time, reading);
    if (reading.done !== before?.done || (this.hours?.wait() ?? 0) > 0)
      this.#lastDone = { time: reading.time, worked: this.#worked, rows: reading.done };
    if (reading.ramp.phase === 'growing' && reading.ramp.limit > (before?.ramp.limit ?? 0))
      this.#steadySince = this.#worked;
    this.#sample();
    this.#curve = this.#latencies.curve(this.#cohorts(this.#latencies.curve()));
  }

  #begin(): void {
    this.#samples.length = 0;
    this.#worked = 0;
    this.#paused = 0;
    this.#pauses = 0;
  }

  #pass(milliseconds: number, { time, pause }: Reading): void {
    if ((this.hours?.wait() ?? 0) > 0) return;
    if (this.#isPausing) this.#paused += milliseconds;
    else this.#worked += milliseconds;
    const isSilent = this.#isSilent;
    const isPausing = isSilent || pause > (this.#isPausing ? 0 : SHORTEST_PAUSE_MS);
    if (isPausing && !this.#isPausing)
      this.#beginPause(isSilent ? this.#lastDone : { time, worked: this.#worked });
    if (!isPausing && this.#isPausing) this.#endPause(time);
    this.#isPausing = isPausing;
  }

  /** @param from when nothing more came: a silence is noticed only after a while */
  #beginPause(from: { time: number; worked: number }): void {
    this.#pausedAt = from.time;
    this.#paused += this.#worked - from.worked;
    this.#worked = from.worked;
    for (const sample of this.#samples) sample.worked = Math.min(sample.worked, from.worked);
  }

  #endPause(now: number): void {
    this.#pauses += 1;
    this.#recentPauses.push({ from: this.#pausedAt, to: now });
    if (this.#recentPauses.length > PAUSES_REMEMBERED) this.#recentPauses.shift();
  }

  get #isSilent(): boolean {
    const { time, inFlight, done } = this.#last as Reading;
    if (this.#isPausing && this.#pausedAt === this.#lastDone.time && done === this.#lastDone.rows)
      return true;
    const silence = time - this.#lastDone.time;
    const usual = SILENCE_LATENCIES * (this.#curve?.exceededBy(0.01) ?? Infinity);
    return inFlight > 0 && silence > Math.max(SHORTEST_PAUSE_MS, usual);
  }

  #sample(): void {
    const before = this.#samples.at(-1);
    if (before !== undefined && this.#worked - before.worked < GRAIN * this.#span) return;
    this.#samples.push(this.#now);
    while (this.#isBeyondWindow(this.#samples[1])) this.#samples.shift();
  }

  get #span(): number {
    const isSearching = this.#last?.ramp.phase === 'searching';
    const sinceSteady = isSearching ? 0 : WINDOW_SHARE * (this.#worked - this.#steadySince);
    const span = Math.min(LONGEST_WINDOW_MS, Math.max(SHORTEST_WINDOW_MS, sinceSteady));
    return Math.max(span, WINDOW_LATENCIES * (this.#curve?.mean ?? 0));
  }

  #isBeyondWindow(sample: Sample | undefined): boolean {
    if (sample === undefined || this.#last === null) return false;
    return this.#worked - sample.worked > this.#span && this.#last.done - sample.done > WINDOW_ROWS;
  }

  /** Rows a millisecond, over the window; 0 before the first ones. */
  get rate(): number {
    return rateBetween(this.#samples[0], this.#now, 'done');
  }

  get #now(): Sample {
    const { done, inFlight } = this.#last ?? { done: 0, inFlight: 0 };
    return { worked: this.#worked, done, sent: done + inFlight };
  }

  /** Milliseconds until all rows are done; null if that cannot be estimated. */
  get estimate(): number | null {
    const reading = this.#last;
    const target = reading === null ? null : this.#target(reading);
    if (reading === null || target === null) return null;
    const open = reading.pause + this.#settled(target);
    return this.hours?.lasting(open) ?? open;
  }

  /** Milliseconds of work, as they settle. */
  #settled(target: number): number {
    const { milliseconds: before, at } = this.#shown ?? { milliseconds: target, at: this.#worked };
    const passed = Math.max(0, this.#worked - at);
    const expected = Math.max(0, before - passed);
    const settling = Math.min(SETTLING_MOST_MS, SETTLING_SHARE * target) + 1;
    const milliseconds = expected + (target - expected) * (1 - Math.exp(-passed / settling));
    this.#shown = { milliseconds, at: this.#worked };
    return milliseconds;
  }

  #target({ left, inFlight, ramp, allowed }: Reading): number | null {
    if (left === 0) return 0;
    const curve = this.#curve;
    if (curve === null) return null;
    const unsent = Math.max(0, left - inFlight);
    if (unsent === 0) return this.#untilLast(curve);
    const rate = this.#steadyRate(curve);
    const isGrowing = this.#isGrowing(curve);
    if (isGrowing || rate === null) {
      const growth = isGrowing ? ramp.growth : 0;
      this.#queueRate = null;
      return (
        this.#slowdown * foresee({ ...ramp, inFlight: this.#cohorts(curve), unsent, growth, allowed }, curve)
      );
    }
    this.#queueRate = ramp.phase === 'searching' ? rate : null;
    if (ramp.phase === 'searching' && this.#isRising) return null;
    return (this.#slowdown * unsent) / rate + this.#untilLast(curve);
  }

  /** True while the requests in flight multiply; where this process is too busy for more, they do not. */
  #isGrowing({ mean }: LatencyCurve): boolean {
    const { phase } = (this.#last as Reading).ramp;
    return phase === 'growing' && this.#worked - this.#steadySince <= GROWTH_LATENCIES * mean;
  }

  /**
   * Milliseconds until the slowest of the requests in flight is answered. In a queue they wait for each other, at least as
   * long as the rate says; latencies of longer queues than this one make the slowest seem slower than it will be.
   */
  #untilLast(curve: LatencyCurve): number {
    const { inFlight } = this.#last as Reading;
    const slowest = untilAllAnswered(this.#cohorts(curve), curve);
    if (this.#queueRate === null) return slowest;
    const queue = inFlight / this.#queueRate;
    return Math.max(queue, Math.sqrt(queue * slowest));
  }

  /** The requests in flight by age: of those that were sent at a time, as many as usually take longer than since then. */
  #cohorts(curve: LatencyCurve | null): Cohort[] {
    const now = this.#now;
    const inFlight = now.sent - now.done;
    const samples = [...this.#samples, now];
    const cohorts = samples.slice(1).map((sample, place) => {
      const before = samples[place] as Sample;
      const age = now.worked - (sample.worked + before.worked) / 2;
      return { age, requests: Math.max(0, sample.sent - before.sent) * (curve?.longerThan(age) ?? 1) };
    });
    const sum = cohorts.reduce((total, { requests }) => total + requests, 0);
    if (sum === 0) return [{ age: 0, requests: inFlight }];
    return cohorts.map(({ age, requests }) => ({ age, requests: (requests * inFlight) / sum }));
  }

  /** One pause is an accident; recurring ones will continue. */
  get #slowdown(): number {
    return this.#pauses < HABIT || this.#worked <= 0 ? 1 : (this.#worked + this.#paused) / this.#worked;
  }

  /** True where the second half of the window has clearly more answers than the first: more requests get more of them. */
  get #isRising(): boolean {
    const [first, now] = [this.#samples[0], this.#now];
    const middle = this.#samples.find(({ worked }) => worked >= ((first?.worked ?? 0) + now.worked) / 2);
    if (first === undefined || middle === undefined || middle.done - first.done < FEWEST_ROWS) return true;
    return rateBetween(middle, now, 'done') > RISE * rateBetween(first, middle, 'done');
  }

  /** Rows a millisecond that are sent; null where that can't be measured yet. */
  #steadyRate({ mean }: LatencyCurve): number | null {
    const { ramp, inFlight, allowed } = this.#last as Reading;
    const first = this.#samples.find(({ worked }) => worked >= this.#steadySince);
    if (first === undefined) return null;
    const span = this.#worked - first.worked;
    const isPaced = inFlight < BUSY_SHARE * ramp.limit && allowed < Infinity;
    const counted = isPaced ? 'sent' : 'done';
    const least = isPaced ? SHORTEST_PACE_MS : FEWEST_LATENCIES * mean;
    if (span < least || this.#now[counted] - first[counted] < FEWEST_ROWS) return null;
    return rateBetween(first, this.#now, counted) || null;
  }
}

function rateBetween(first: Sample | undefined, now: Sample, counted: 'done' | 'sent'): number {
  const milliseconds = now.worked - (first?.worked ?? now.worked);
  return milliseconds <= 0 ? 0 : (now[counted] - (first?.[counted] ?? 0)) / milliseconds;
}
