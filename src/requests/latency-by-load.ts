import { FadingStatistics } from './fading.js';

/** Short latencies are compared as if they took this much longer: a queue of milliseconds harms nobody. */
const NEGLIGIBLE_MS = 20;
/**
 * Answers that a band remembers at least; older ones fade. Of the requests that are in flight together the slow ones are
 * answered last, so that a band remembers as many answers as that.
 */
const LEAST_MEMORY = 32;
/** The standard deviation of the logarithm that is assumed before there are answers to estimate it from. */
const ASSUMED_DEVIATION = 0.3;
const ASSUMED_ANSWERS = 4;
/** Answers that a band needs before it is believed. */
const LEAST_ANSWERS = 4;
/** Latency that has risen by this factor has risen. */
const RISE = 1.5;
/** Standard errors beyond which a rise is no chance, for the deviation that was seen and for the one that is only assumed. */
interface Certainty {
  seen: number;
  assumed: number;
}

/**
 * Each answer is compared with every lower load, so chance has many occasions: with two standard errors, one run in twenty
 * of 300 answers of about 20 s (log-normal, 0.5) took twice as long as the others.
 */
export const CERTAIN: Certainty = { seen: 3, assumed: 2.6 };
/** Where a queue would soon make requests time out, a server with one or two slots has to be found at once. */
export const LIKELY: Certainty = { seen: 2, assumed: 2 };

/** How long answers take, by how many requests were in flight when they were sent: 1, 2 to 3, 4 to 7, and so on. */
export class LatencyByLoad {
  /** Of one range of loads each, the logarithms of latencies: answers' lengths have a heavy tail. */
  readonly #bands: (FadingStatistics | undefined)[] = [];

  /** @param latency milliseconds; for a request that timed out, as long as it was waited for */
  add(inFlight: number, latency: number): void {
    const index = bandOf(inFlight);
    const band = (this.#bands[index] ??= new FadingStatistics(memoryOf(index)));
    band.add(Math.log(latency + NEGLIGIBLE_MS));
  }

  /**
   * True where answers take clearly longer under this load than under a lower one: longer by half, and by more than
   * chance explains.
   */
  rises(inFlight: number, certainty: Certainty): boolean {
    const index = bandOf(inFlight);
    const band = this.#bands[index];
    if (band === undefined || band.count < LEAST_ANSWERS) return false;
    for (let below = 0; below < index; below++) {
      const lower = this.#bands[below];
      // The first answers of those that were sent together are the quick ones.
      if (lower === undefined || lower.count < 2 ** below) continue;
      if (
        band.mean - lower.mean >
        Math.log(RISE) + Math.hypot(chanceIn(band, certainty), chanceIn(lower, certainty))
      )
        return true;
    }
    return false;
  }

  /** The typical latency under the load where it is shortest, in milliseconds; null before the first answer. */
  get shortest(): number | null {
    const means = this.#bands.flatMap((band) => (band === undefined ? [] : [band.mean]));
    return means.length === 0 ? null : Math.max(1, Math.exp(Math.min(...means)) - NEGLIGIBLE_MS);
  }

  /** Standard deviation of latency under a load, as a share of its mean. */
  variation(inFlight: number): number {
    const band = this.#bands[bandOf(inFlight)];
    const variance = band === undefined ? ASSUMED_DEVIATION ** 2 : varianceOf(band);
    return Math.sqrt(Math.exp(variance) - 1);
  }
}

function bandOf(inFlight: number): number {
  return Math.floor(Math.log2(Math.max(1, inFlight)));
}

function memoryOf(index: number): number {
  return Math.max(LEAST_MEMORY, 2 ** (index + 1));
}

/** How far a mean may be off by chance. */
function chanceIn({ remembered: answers, variance }: FadingStatistics, certainty: Certainty): number {
  const seen = certainty.seen ** 2 * variance * answers;
  const assumed = (certainty.assumed * ASSUMED_DEVIATION) ** 2 * ASSUMED_ANSWERS;
  return Math.sqrt((seen + assumed) / (answers + ASSUMED_ANSWERS) / answers);
}

/** The variance that was seen, mixed with the one that is assumed while there are few answers. */
function varianceOf({ remembered: answers, variance }: FadingStatistics): number {
  const assumed = ASSUMED_DEVIATION ** 2 * ASSUMED_ANSWERS;
  return (variance * answers + assumed) / (answers + ASSUMED_ANSWERS);
}
