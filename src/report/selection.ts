/** Which rows the reader of a report shows, out of any number: a random sample, and the most remarkable ones. */

import { rankOf } from '../run/estimate.js';
import type { FlagName } from './flags.js';
import type { ShownRow } from './data.js';
import { sizeOfRow } from './shown-row.js';

/** Rows that are shown for each thing that is remarkable about them. */
const OF_EACH_KIND = 40;
/** Rows are dropped beyond this, so that the page stays below 15 MB however long their texts are. */
const MOST_BYTES = 9 << 20;

/** Keeps the rows with the highest scores. */
class Top {
  readonly #rows: { score: number; row: ShownRow }[] = [];
  #least = -Infinity;

  constructor(private readonly size: number) {}

  /** True where a row of that score would be kept. */
  wants(score: number): boolean {
    return this.size > 0 && (this.#rows.length < this.size || score > this.#least);
  }

  add(score: number, row: ShownRow): void {
    if (!this.wants(score)) return;
    if (this.#rows.length === this.size) {
      const index = this.#rows.findIndex((one) => one.score === this.#least);
      this.#rows.splice(index, 1);
    }
    this.#rows.push({ score, row });
    this.#least = this.#rows.length < this.size ? -Infinity : Math.min(...this.#rows.map((one) => one.score));
  }

  /** Drops a row. Rows that it displaced are not brought back. */
  remove(row: number): void {
    const index = this.#rows.findIndex((one) => one.row.row === row);
    if (index === -1) return;
    this.#rows.splice(index, 1);
    this.#least = -Infinity;
  }

  get rows(): ShownRow[] {
    return this.#rows.sort((a, b) => b.score - a.score).map(({ row }) => row);
  }
}

/** What a row is chosen by; its texts are only made where it is. */
export interface Candidate {
  row: number;
  state: string;
  flags: readonly FlagName[];
  change: number | null;
  /** New characters by old ones; null where there is none. */
  ratio: number | null;
}

export class Selection {
  readonly #sample: Top;
  readonly #wanted: ReadonlySet<number>;
  readonly #asked: ShownRow[] = [];
  readonly #kinds = new Map<string, Top>();

  /**
   * @param sample rows that are chosen at random
   * @param wanted rows that are shown in any case
   * @param onlyWanted true where no others are
   */
  constructor(
    private readonly size: number,
    wanted: readonly number[],
    private readonly onlyWanted = false,
  ) {
    this.#sample = new Top(size);
    this.#wanted = new Set(wanted);
  }

  /** Looks at a row, and keeps it where it is one to show. */
  add(candidate: Candidate, make: () => ShownRow): void {
    let made: ShownRow | null = null;
    const row = (): ShownRow => (made ??= make());
    if (this.#wanted.has(candidate.row)) this.#asked.push(row());
    if (this.onlyWanted) return;
    const rank = rankOf(candidate.row);
    if (this.#sample.wants(rank)) this.#sample.add(rank, row());
    for (const [kind, score] of scores(candidate, rank)) {
      const top = this.#kinds.get(kind) ?? new Top(OF_EACH_KIND);
      this.#kinds.set(kind, top);
      if (top.wants(score)) top.add(score, row());
    }
  }

  /** Drops a row that was added. */
  remove(row: number): void {
    for (const top of [this.#sample, ...this.#kinds.values()]) top.remove(row);
    const place = this.#asked.findIndex((one) => one.row === row);
    if (place !== -1) this.#asked.splice(place, 1);
  }

  /** The chosen rows in their order, within the bound of bytes. */
  get rows(): ShownRow[] {
    const chosen = new Map<number, ShownRow>();
    const kinds = [...this.#kinds.values()].map((top) => top.rows);
    const sample = this.#sample.rows;
    const longest = Math.max(sample.length, ...kinds.map((rows) => rows.length), this.#asked.length);
    let bytes = 0;
    const take = (row: ShownRow | undefined): void => {
      if (row === undefined || chosen.has(row.row)) return;
      bytes += sizeOfRow(row);
      if (bytes <= MOST_BYTES) chosen.set(row.row, row);
    };
    // Of each kind in turn, so that a bound cuts them all alike.
    for (let place = 0; place < longest; place++) {
      take(this.#asked[place]);
      for (const rows of kinds) take(rows[place]);
      for (let more = 0; more < Math.ceil(sample.length / longest); more++) {
        take(sample[place * Math.ceil(sample.length / longest) + more]);
      }
    }
    return [...chosen.values()].sort((a, b) => a.row - b.row);
  }

  /** How many rows were chosen at random. */
  get sampled(): number {
    return Math.min(this.size, this.#sample.rows.length);
  }
}

/** The kinds that a row belongs to, and how much it does. */
function scores({ state, flags, change, ratio }: Candidate, rank: number): [kind: string, score: number][] {
  const kinds: [string, number][] = flags.map((flag) => [flag, rank]);
  if (state !== 'ok') kinds.push([`state ${state}`, rank]);
  if (change !== null) kinds.push(['changed most', change + rank / 1e6]);
  if (ratio !== null && ratio > 1) kinds.push(['longer', ratio]);
  if (ratio !== null && ratio < 1) kinds.push(['shorter', -ratio]);
  return kinds;
}
