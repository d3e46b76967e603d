import type { Distribution, Quantiles } from './data.js';

/** Counts amounts in classes whose bounds are handed in, and estimates their quantiles. */
export class Counter {
  readonly #counts: number[];
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
    this.#all += times;
  }

  /** How many amounts were added. */
  get total(): number {
    return this.#all;
  }

  get distribution(): Distribution {
    return { edges: [...this.edges], counts: [...this.#counts] };
  }

  /** Median and 95th percentile, as exactly as the classes allow; null where nothing was counted. */
  get quantiles(): Quantiles | null {
    return this.#all === 0 ? null : { median: this.#quantile(0.5), p95: this.#quantile(0.95) };
  }

  #quantile(share: number): number {
    const wanted = this.#all * share;
    let seen = 0;
    const place = this.#counts.findIndex((amount) => (seen += amount) >= wanted);
    const amount = this.#counts[place] ?? 1;
    const [start = 0, end = 0] = [this.edges[place], this.edges[place + 1]];
    return Math.round(start + (end - start) * ((wanted - (seen - amount)) / amount));
  }
}

/** Bounds that rise by a factor: `0`, then from `first` to at least `last`. */
export function risingEdges(first: number, last: number, factor: number): number[] {
  const edges = [0, first];
  while ((edges.at(-1) ?? 0) < last) edges.push(Math.ceil((edges.at(-1) ?? first) * factor));
  return edges;
}
