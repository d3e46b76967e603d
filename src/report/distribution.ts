import type { Distribution, Quantiles } from './data.js';

/** Amounts up to here are counted one by one for the quantiles; larger ones by powers of `FINE_RATIO`. */
const EXACT = 2048;
const FINE_RATIO = 1.01;

/** Counts amounts in classes with given bounds, and knows their quantiles, in bounded memory. */
export class Counter {
  readonly #counts: number[];
  /** For the quantiles, which need finer classes than a chart: of few rows a reader sees each amount. */
  readonly #fine: number[] = [];
  #all = 0;

  /** @param edges rising; amounts outside count in the first and the last class */
  constructor(private readonly edges: readonly number[]) {
    this.#counts = new Array<number>(edges.length - 1).fill(0);
  }

  /** @param times -1 takes back what was added */
  add(amount: number, times: 1 | -1 = 1): void {
    let low = 0;
    let high = this.#counts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (amount >= (this.edges[middle] ?? 0)) low = middle;
      else high = middle - 1;
    }
    this.#counts[low] = (this.#counts[low] ?? 0) + times;
    const place = finePlace(amount);
    this.#fine[place] = (this.#fine[place] ?? 0) + times;
    this.#all += times;
  }

  /** How many amounts were added. */
  get total(): number {
    return this.#all;
  }

  get distribution(): Distribution {
    return { edges: [...this.edges], counts: [...this.#counts] };
  }

  /** Median and 95th percentile: exact below 2,048, within a percent above; null where nothing was counted. */
  get quantiles(): Quantiles | null {
    if (this.#all === 0) return null;
    const middle = this.#amountAt(Math.ceil(this.#all / 2)) + this.#amountAt(Math.floor(this.#all / 2) + 1);
    return { median: Math.round(middle / 2), p95: Math.round(this.#amountAt(Math.ceil(this.#all * 0.95))) };
  }

  /** @param rank from 1 on, in rising order */
  #amountAt(rank: number): number {
    let seen = 0;
    // Classes that nothing was counted in are holes, which count as 0.
    for (let place = 0; place < this.#fine.length; place++) {
      seen += this.#fine[place] ?? 0;
      if (seen >= rank) return fineAmount(place);
    }
    return 0;
  }
}

function finePlace(amount: number): number {
  const whole = Math.max(0, Math.round(amount));
  return whole < EXACT ? whole : EXACT + Math.floor(Math.log(whole / EXACT) / Math.log(FINE_RATIO));
}

function fineAmount(place: number): number {
  return place < EXACT ? place : EXACT * FINE_RATIO ** (place - EXACT + 0.5);
}

/** Bounds that rise by a factor: `0`, then from `first` to at least `last`. */
export function risingEdges(first: number, last: number, factor: number): number[] {
  const edges = [0, first];
  while ((edges.at(-1) ?? 0) < last) edges.push(Math.ceil((edges.at(-1) ?? first) * factor));
  return edges;
}
