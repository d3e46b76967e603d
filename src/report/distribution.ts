import type { Distribution } from './data.js';

/** Counts amounts in classes whose bounds are handed in, and tells their median. */
export class Counter {
  readonly #counts: number[];
  #all = 0;

  /** @param edges rising; amounts outside count in the first and the last class */
  constructor(private readonly edges: readonly number[]) {
    this.#counts = new Array<number>(edges.length - 1).fill(0);
  }

  add(amount: number): void {
    let low = 0;
    let high = this.#counts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (amount >= (this.edges[middle] ?? 0)) low = middle;
      else high = middle - 1;
    }
    this.#counts[low] = (this.#counts[low] ?? 0) + 1;
    this.#all += 1;
  }

  get distribution(): Distribution {
    return { edges: [...this.edges], counts: this.#counts };
  }

  /** The median, as near as classes tell it; null where nothing was counted. */
  get median(): number | null {
    if (this.#all === 0) return null;
    let seen = 0;
    const place = this.#counts.findIndex((amount) => (seen += amount) >= this.#all / 2);
    const before = seen - (this.#counts[place] ?? 0);
    const share = (this.#all / 2 - before) / (this.#counts[place] ?? 1);
    const [start = 0, end = 0] = [this.edges[place], this.edges[place + 1]];
    return Math.round(start + (end - start) * share);
  }
}

/** Bounds that rise by a factor: `0`, then from `first` to at least `last`. */
export function risingEdges(first: number, last: number, factor: number): number[] {
  const edges = [0, first];
  while ((edges.at(-1) ?? 0) < last) edges.push(Math.ceil((edges.at(-1) ?? first) * factor));
  return edges;
}
