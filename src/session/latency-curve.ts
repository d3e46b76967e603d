/**
 * How long answers take. Latencies are counted on a logarithmic scale, and older ones fade. Requests that are still in
 * flight count as well, as the product-limit estimator does (Kaplan and Meier, 1958): of those that were sent together the
 * quick ones are answered first, and by them alone all would seem quick.
 */

const BINS_PER_OCTAVE = 8;
/** From 1 ms to more than two hours. */
const OCTAVES = 23;
const BINS = BINS_PER_OCTAVE * OCTAVES;
/** Answers that are remembered: enough to know of the slow ones among fifty, few enough to follow a server's load. */
const MEMORY = 200;
/** Newer answers count for more and more; above this, all are scaled down. */
const HEAVIEST = 1e9;

/** Requests that were sent at about the same time and are not answered. */
export interface Cohort {
  /** Milliseconds since they were sent. */
  age: number;
  /** How many; parts of a request are possible. */
  requests: number;
}

/** Latencies as they come. */
export class LatencyCounts {
  readonly #weights = new Float64Array(BINS);
  #weight = 1;
  answers = 0;

  /** @param latency milliseconds that an answer took */
  add(latency: number): void {
    // The first answer may have waited for a connection, or for a model to be loaded: it counts until there is another.
    if (this.answers === 1) {
      this.#weights.fill(0);
    }
    this.answers += 1;
    const bin = Math.floor(exactBinOf(latency));
    this.#weights[bin] = (this.#weights[bin] ?? 0) + this.#weight;
    this.#weight *= 1 + 1 / MEMORY;
    if (this.#weight > HEAVIEST) this.#scaleDown();
  }

  #scaleDown(): void {
    for (let bin = 0; bin < BINS; bin++) this.#weights[bin] = (this.#weights[bin] ?? 0) / this.#weight;
    this.#weight = 1;
  }

  /** What is known now; null before the first answer. */
  curve(inFlight: readonly Cohort[] = []): LatencyCurve | null {
    if (this.answers === 0) return null;
    const open = new Float64Array(BINS);
    for (const { age, requests } of inFlight) {
      const bin = Math.floor(exactBinOf(age));
      open[bin] = (open[bin] ?? 0) + requests * this.#weight;
    }
    return new LatencyCurve(survivals(this.#weights, open));
  }
}

/** The share of answers that take longer than the start of each bin. */
function survivals(answered: Float64Array, open: Float64Array): Float64Array {
  const atRisk = new Float64Array(BINS + 1);
  for (let bin = BINS - 1; bin >= 0; bin--)
    atRisk[bin] = (atRisk[bin + 1] ?? 0) + (answered[bin] ?? 0) + (open[bin] ?? 0);
  const survival = new Float64Array(BINS + 1);
  survival[0] = 1;
  const last = answered.findLastIndex((weight) => weight > 0);
  for (let bin = 0; bin < last; bin++) {
    const risk = atRisk[bin] ?? 0;
    survival[bin + 1] = (survival[bin] ?? 0) * (risk === 0 ? 1 : 1 - (answered[bin] ?? 0) / risk);
  }
  return survival;
}

/** What is known of latencies at a moment. */
export class LatencyCurve {
  /** Milliseconds; at least 1. */
  readonly mean: number;

  /** @param survivals of each bin, falling from 1 to 0 */
  constructor(private readonly survivals: Float64Array) {
    let mean = 0;
    for (let bin = 0; bin < BINS; bin++) {
      const width = edgeOf(bin + 1) - (bin === 0 ? 0 : edgeOf(bin));
      mean += (((survivals[bin] ?? 0) + (survivals[bin + 1] ?? 0)) / 2) * width;
    }
    this.mean = Math.max(1, mean);
  }

  /** The share of answers that take longer than this many milliseconds. */
  longerThan(milliseconds: number): number {
    const exact = exactBinOf(milliseconds);
    const bin = Math.floor(exact);
    const [from = 0, to = 0] = [this.survivals[bin], this.survivals[bin + 1]];
    return from + (to - from) * (exact - bin);
  }

  /** Milliseconds that only so small a share of the answers exceeds. */
  exceededBy(share: number): number {
    let bin = BINS;
    while (bin > 0 && (this.survivals[bin - 1] ?? 0) <= share) bin -= 1;
    return edgeOf(bin);
  }
}

function exactBinOf(milliseconds: number): number {
  return Math.min(BINS - 1, Math.max(0, Math.log2(Math.max(1, milliseconds)) * BINS_PER_OCTAVE));
}

function edgeOf(bin: number): number {
  return 2 ** (bin / BINS_PER_OCTAVE);
}
