/**
 * How requests in flight will be answered, and further ones sent: a mean-field simulation in steps of a fraction of the
 * usual latency. It replaces a formula where no rate can be measured yet, because the requests in flight still multiply,
 * and for the last requests of a run, of which the slowest decides.
 */

import type { Cohort, LatencyCurve } from './latency-curve.js';

/** Steps in the time that an answer usually takes. */
const STEPS_PER_LATENCY = 8;
/** Ages that are distinguished; older requests are counted with the last. */
const MOST_AGES = 400;
const MOST_STEPS = 4000;
/** The number of requests in flight is assumed constant after this many latencies without growth. */
const STEADY_LATENCIES = 2;
/** Answers that take longer than all but this share are not waited for. */
const NEGLIGIBLE = 1e-3;

/** What a run is doing. */
export interface Outlook {
  inFlight: readonly Cohort[];
  /** Requests that are still to be sent. */
  unsent: number;
  /** Requests that may be in flight now, and at most. */
  limit: number;
  maximum: number;
  /** By how much an answer raises the limit. */
  growth: number;
  /** Requests a millisecond that the rate limits allow; Infinity where there are none. */
  allowed: number;
}

/** Milliseconds until everything is sent and answered. */
export function foresee(outlook: Outlook, curve: LatencyCurve): number {
  const step = curve.mean / STEPS_PER_LATENCY;
  const flight = new Flight(outlook.inFlight, step, curve);
  const steadyAfter = STEADY_LATENCIES * STEPS_PER_LATENCY;
  let { unsent, limit } = outlook;
  let steady = 0;
  let sentWhileSteady = 0;
  let steps = 0;
  while (unsent > 0 && steps < MOST_STEPS && steady < steadyAfter) {
    const answered = flight.pass();
    const grown = Math.min(outlook.maximum, limit + outlook.growth * answered);
    const room = Math.max(0, grown - flight.requests);
    const sent = Math.min(unsent, room, outlook.allowed * step);
    const isSteady = grown - limit < limit / 1000 || sent < room;
    limit = sent < room ? limit : grown;
    flight.add(sent);
    unsent -= sent;
    steps += 1;
    steady = isSteady ? steady + 1 : 0;
    sentWhileSteady = isSteady ? sentWhileSteady + sent : 0;
  }
  const rate = sentWhileSteady / Math.max(1, steady);
  const rest = unsent <= 0 ? 0 : unsent / Math.max(rate, limit / STEPS_PER_LATENCY / 10);
  return (steps + rest) * step + untilAllAnswered(flight.cohorts(), curve);
}

/** Requests in flight by their age. */
class Flight {
  readonly #ages: Float64Array;
  /** The share of the requests of an age that are answered before they reach the next. */
  readonly #hazard: Float64Array;
  requests = 0;

  constructor(
    cohorts: readonly Cohort[],
    private readonly step: number,
    curve: LatencyCurve,
  ) {
    const ages = Math.min(MOST_AGES, Math.ceil(curve.exceededBy(NEGLIGIBLE) / step) + 1);
    this.#ages = new Float64Array(ages);
    this.#hazard = Float64Array.from({ length: ages }, (_, age) => {
      const [now, then] = [curve.longerThan(age * step), curve.longerThan((age + 1) * step)];
      return now <= NEGLIGIBLE ? 1 : 1 - then / now;
    });
    for (const { age, requests } of cohorts) {
      const place = Math.min(ages - 1, Math.floor(age / step));
      this.#ages[place] = (this.#ages[place] ?? 0) + requests;
      this.requests += requests;
    }
  }

  /** Lets a step pass and returns how many requests are answered in it. */
  pass(): number {
    const last = this.#ages.length - 1;
    let answered = 0;
    let older = 0;
    for (let age = last; age >= 0; age--) {
      const requests = this.#ages[age] ?? 0;
      const done = requests * (this.#hazard[age] ?? 1);
      answered += done;
      if (age === last) older = requests - done;
      else this.#ages[age + 1] = requests - done + (age + 1 === last ? older : 0);
    }
    this.#ages[0] = 0;
    this.requests -= answered;
    return answered;
  }

  add(requests: number): void {
    this.#ages[0] = (this.#ages[0] ?? 0) + requests;
    this.requests += requests;
  }

  cohorts(): Cohort[] {
    return Array.from(this.#ages, (requests, age) => ({ age: age * this.step, requests }));
  }
}

/**
 * The expected milliseconds until the last of these requests is answered: the integral of the probability that one is
 * still open (David and Nagaraja, Order Statistics, 3.1).
 */
export function untilAllAnswered(cohorts: readonly Cohort[], curve: LatencyCurve): number {
  const latency = curve.mean;
  const step = latency / STEPS_PER_LATENCY;
  const open = cohorts
    .filter(({ requests }) => requests > 0)
    .map((cohort) => ({ ...cohort, survival: curve.longerThan(cohort.age) }));
  let milliseconds = 0;
  for (let steps = 0; steps < MOST_AGES; steps++) {
    const elapsed = (steps + 0.5) * step;
    let logarithm = 0;
    for (const { age, requests, survival } of open) {
      // One that is older than any before it is given the time of an answer.
      const left =
        survival > NEGLIGIBLE ? curve.longerThan(age + elapsed) / survival : Number(elapsed < latency);
      logarithm += requests * Math.log1p(-Math.min(1 - 1e-9, left));
    }
    const isOpen = 1 - Math.exp(logarithm);
    if (isOpen < NEGLIGIBLE) break;
    milliseconds += isOpen * step;
  }
  return milliseconds;
}
