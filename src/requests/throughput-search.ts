/** A level with this share of the best throughput is as good as the best, and the lowest of those is used. */
const GOOD_SHARE = 0.9;
/** The relative error that a measurement may have. */
const ACCURACY = 0.2;
const FEWEST_ANSWERS = 8;
const MOST_ANSWERS = 128;
/** Measurements until a level above is tried again; each time in vain doubles it. */
const FIRST_PATIENCE = 8;
const LONGEST_PATIENCE = 64;
/** A higher level is not tried where its queue could take up this share of the time that one request has. */
const TIMEOUT_SHARE = 0.5;
/** Of the answers of a measurement, those that may come while fewer requests are in flight than allowed. */
const IDLE_SHARE = 0.25;
/** Where twice as many get this many times the answers, there was no queue. */
const FULL_GAIN = 1.7;
/** Answers in each of the two measurements behind this decision: with eight answers of many lengths, one decision in ten was chance. */
const FULL_GAIN_ANSWERS = 16;
/** Signs of overload for each answer of a measurement that count as overload. */
const OVERLOAD_SHARE = 0.05;

/** What was measured at a level. */
interface Measurement {
  /** Answers a millisecond. */
  rate: number;
  /** Answers that the last measurement took. */
  answers: number;
  /** The number of the measurement, which says how old it is. */
  number: number;
}

/**
 * Looks for the lowest number of requests in flight that gets (almost) the most answers a second, by measuring powers
 * of two. Latency alone is not enough: a server that batches requests slows each down and still answers more in total,
 * while one with a queue only makes them wait. As in hill climbing, more is tried from time to time and kept where it
 * pays.
 */
export class ThroughputSearch {
  readonly #measured = new Map<number, Measurement>();
  #exponent: number;
  #number = 0;
  #patience = FIRST_PATIENCE;
  /** Levels above this one overloaded the server; it counts until the measurement of that number. */
  #ceiling = { exponent: Infinity, until: 0 };
  /** Answers that still belong to the level before. */
  #settling: number;
  /** True once twice as many got (almost) twice the answers: what looked like a queue was chance, or there is none. */
  isNeedless = false;
  #started = 0;
  #answers = 0;
  #idle = 0;
  #overloads = 0;

  /**
   * @param start the level to start near
   * @param maximum the highest level
   * @param timeout milliseconds that one request may take
   */
  constructor(
    start: number,
    private readonly maximum: number,
    private readonly timeout: number,
  ) {
    this.#exponent = Math.max(0, Math.floor(Math.log2(start)) - 1);
    this.#settling = this.level;
  }

  /** Requests that may be in flight. */
  get level(): number {
    return Math.min(this.maximum, 2 ** this.#exponent);
  }

  /**
   * An answer arrived.
   * @param inFlight requests in flight, this one included
   * @param variation of latency, as a share of its mean
   * @param shortest milliseconds that an answer takes at least
   */
  answered(now: number, inFlight: number, variation: number, shortest: number): void {
    if (this.#settling > 0 || inFlight > this.level * 1.5) {
      this.#settling -= 1;
      this.#begin(now);
      return;
    }
    this.#answers += 1;
    if (inFlight < this.level * 0.8) this.#idle += 1;
    const wanted = Math.max(FEWEST_ANSWERS, this.level, (variation / ACCURACY) ** 2);
    if (this.#answers < Math.min(MOST_ANSWERS, wanted)) return;
    const isMeasured = this.#idle <= this.#answers * IDLE_SHARE && now > this.#started;
    if (isMeasured) this.#record(this.#answers / (now - this.#started), this.#answers);
    if (isMeasured) this.#choose(shortest);
    this.#begin(now);
  }

  /**
   * The server is overloaded: half as many, and no more than that for a while. One sign among many answers is none.
   * @param isRefusal true where the server refused at once, false where a request waited until it timed out
   */
  overloaded(isRefusal: boolean): void {
    this.#overloads += 1;
    if (this.#overloads < this.#answers * OVERLOAD_SHARE) return;
    for (const exponent of this.#measured.keys()) {
      if (exponent >= this.#exponent) this.#measured.delete(exponent);
    }
    this.#moveTo(Math.max(0, this.#exponent - 1));
    this.#ceiling = { exponent: this.#exponent, until: this.#number + this.#patience };
    this.#patience = Math.min(LONGEST_PATIENCE, this.#patience * 2);
    // A server without a queue has its limit somewhere between this level and the next, which is twice as high.
    this.isNeedless = isRefusal && this.#isWellUsed();
  }

  /** True where the present level gets (almost) twice the answers of the one below. */
  #isWellUsed(): boolean {
    const [level, below] = [this.#measured.get(this.#exponent), this.#measured.get(this.#exponent - 1)];
    return level !== undefined && below !== undefined && level.rate >= FULL_GAIN * below.rate;
  }

  #begin(now: number): void {
    this.#started = now;
    this.#answers = 0;
    this.#idle = 0;
    this.#overloads = 0;
  }

  #record(rate: number, answers: number): void {
    this.#number += 1;
    const below = this.#measured.get(this.#exponent - 1);
    this.isNeedless =
      below?.number === this.#number - 1 &&
      Math.min(answers, below.answers) >= FULL_GAIN_ANSWERS &&
      rate >= FULL_GAIN * below.rate;
    const earlier = this.#measured.get(this.#exponent);
    const mixed = earlier === undefined ? rate : (earlier.rate + rate) / 2;
    this.#measured.set(this.#exponent, { rate: mixed, answers, number: this.#number });
  }

  #choose(shortest: number): void {
    const best = Math.max(...[...this.#measured.values()].map(({ rate }) => rate));
    const good = [...this.#measured].filter(([, { rate }]) => rate >= GOOD_SHARE * best);
    const lowest = Math.min(...good.map(([exponent]) => exponent));
    const above = this.#measured.get(lowest + 1);
    // What was tried and bought nothing is tried again ever more rarely.
    if (this.#exponent > lowest) this.#patience = Math.min(LONGEST_PATIENCE, this.#patience * 2);
    const isDue = above === undefined || this.#number - above.number >= this.#patience;
    if (isDue && this.#mayTry(lowest + 1, best)) this.#moveTo(lowest + 1);
    else if (this.#isWorthTryingBelow(lowest, best, shortest)) this.#moveTo(lowest - 1);
    else this.#moveTo(lowest);
  }

  #mayTry(exponent: number, rate: number): boolean {
    if (2 ** (exponent - 1) >= this.maximum) return false;
    if (exponent > this.#ceiling.exponent && this.#number < this.#ceiling.until) return false;
    return 2 ** exponent / rate <= TIMEOUT_SHARE * this.timeout;
  }

  /** A level gets at most one answer in the shortest latency for each request in flight. */
  #isWorthTryingBelow(exponent: number, best: number, shortest: number): boolean {
    const below = exponent - 1;
    return below >= 0 && !this.#measured.has(below) && 2 ** below / shortest >= GOOD_SHARE * best;
  }

  #moveTo(exponent: number): void {
    if (exponent === this.#exponent) return;
    this.#exponent = exponent;
    this.#settling = this.level;
  }
}
