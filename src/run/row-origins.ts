/** Which requests of a row were sent besides its job, and whose answer it has. */

import { isPaid, type Origin } from './origin.js';

/** How many annotators are distinguished, one bit each; those beyond count as one. */
const MOST_NAMES = 31;

/** What may still be sent to another annotator. */
export interface FallbackRequest {
  annotator: string;
  /** True where a request that failed is sent again. */
  retriesFailed: boolean;
}

/**
 * For each row: the annotators that it was sent to besides the run's own, the one whose answer it has, and the highest
 * multiple of `max_tokens`. Takes no memory until the first such request.
 */
export class RowOrigins {
  readonly #names: string[] = [];
  /** By row, a bit for each annotator that refused or answered. */
  #tried: Uint32Array | null = null;
  /** By row, a bit for each annotator whose request failed. */
  #failed: Uint32Array | null = null;
  /** By row, the place of the annotator whose answer it has, from 1 on; 0 for the run's own. */
  #answeredBy: Uint8Array | null = null;
  /** By row, the highest multiple of `max_tokens`: of the run's own annotator, and of others. */
  #own: Uint16Array | null = null;
  #others: Uint16Array | null = null;

  constructor(private readonly rows: number) {}

  /**
   * Notes a request besides the row's job, whatever its row makes of the answer.
   * @param failure how it failed; null where it was answered. One that a filter stopped counts as answered.
   */
  note(row: number, origin: Origin, failure: 'failed' | 'filtered' | null): void {
    if (row >= this.rows || !isPaid(origin)) return;
    if (origin.annotator !== undefined) {
      const bits =
        failure === 'failed'
          ? (this.#failed ??= new Uint32Array(this.rows))
          : (this.#tried ??= new Uint32Array(this.rows));
      bits[row] = (bits[row] ?? 0) | this.#bitOf(origin.annotator);
    }
    if (origin.kind !== 'escalated' || failure !== null) return;
    const factors = this.#factorsOf(origin);
    factors[row] = Math.max(factors[row] ?? 0, Math.min(origin.factor, 0xffff));
  }

  /** Notes whose answer a row has from now on. */
  noteAnswer(row: number, origin: Origin | null): void {
    const annotator = origin?.annotator;
    if (annotator === undefined && this.#answeredBy === null) return;
    this.#answeredBy ??= new Uint8Array(this.rows);
    this.#answeredBy[row] = annotator === undefined ? 0 : this.#placeOf(annotator) + 1;
  }

  /** The annotator whose answer a row has; null for the run's own. */
  answeredBy(row: number): string | null {
    const place = this.#answeredBy?.[row] ?? 0;
    // An index outside the list is slow to look up, and this is called for every row.
    return place === 0 ? null : (this.#names[place - 1] ?? null);
  }

  /** The highest multiple of `max_tokens` that a row was answered with; 1 where it was not sent again. */
  escalationOf(row: number): number {
    const factors = this.answeredBy(row) === null ? this.#own : this.#others;
    return Math.max(1, factors?.[row] ?? 1);
  }

  /** True where a row may still be sent to another annotator. */
  mayFallBack(row: number, { annotator, retriesFailed }: FallbackRequest): boolean {
    if (this.#tried === null && this.#failed === null) return true;
    const bit = this.#bitOf(annotator);
    if (((this.#tried?.[row] ?? 0) & bit) !== 0) return false;
    return retriesFailed || ((this.#failed?.[row] ?? 0) & bit) === 0;
  }

  /** True where another annotator than the run's own has answered a row. */
  get hasOthers(): boolean {
    return this.#answeredBy !== null;
  }

  #factorsOf({ annotator }: Origin): Uint16Array {
    if (annotator === undefined) return (this.#own ??= new Uint16Array(this.rows));
    return (this.#others ??= new Uint16Array(this.rows));
  }

  #bitOf(annotator: string): number {
    return (1 << this.#placeOf(annotator)) >>> 0;
  }

  #placeOf(annotator: string): number {
    const known = this.#names.indexOf(annotator);
    if (known !== -1) return known;
    if (this.#names.length === MOST_NAMES) return MOST_NAMES;
    return this.#names.push(annotator) - 1;
  }
}
