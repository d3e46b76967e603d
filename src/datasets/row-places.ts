/** Where some of a file's rows begin, so that reading can start near any of them without what is before. */

import type { LinePlace } from './text-lines.js';

/** Half of the places are dropped where there would be more, so that memory does not grow with the rows. */
const MOST_PLACES = 4096;

export interface RowPlace extends LinePlace {
  /** The row's number in the file, from 0 on. */
  row: number;
}

export class RowPlaces {
  #places: RowPlace[] = [];
  /** Rows from one place to the next. */
  #stride = 1;

  /** Notes where a row begins; rows come in their order. */
  note(row: number, { number, offset }: LinePlace): void {
    if (row % this.#stride !== 0) return;
    if (this.#places.length === MOST_PLACES) {
      this.#stride *= 2;
      this.#places = this.#places.filter((place) => place.row % this.#stride === 0);
      if (row % this.#stride !== 0) return;
    }
    this.#places.push({ row, number, offset });
  }

  /** The last place that is known at or before a row; null where none is. */
  before(row: number): RowPlace | null {
    return this.#places[Math.floor(row / this.#stride)] ?? this.#places.at(-1) ?? null;
  }
}
