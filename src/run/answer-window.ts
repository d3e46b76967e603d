/** The journal's lines of rows that follow each other, read together: answers are there in the order they came. */

import { isUtf8 } from 'node:buffer';
import { closeSync, existsSync } from 'node:fs';
import { openFile, readAt } from '../lib/files.js';
import { SEGMENT_SPAN, type JournalIndex, type JournalSource } from './journal.js';

/** Lines are read in one go as long as what lies between two of them is less than this. */
const GAP_BYTES = 1 << 14;
/** Lines of a window together, unless a single one is longer. */
const WINDOW_BYTES = 1 << 20;

export class AnswerWindow {
  /** Of the journal's files, by their numbers. */
  readonly #descriptors = new Map<number, number>();
  #buffer: Buffer = Buffer.allocUnsafe(WINDOW_BYTES);
  /** By a row's place in the window: where its line is in the journal, how long it is, and where in `bytes`. */
  readonly #offsets: number[] = [];
  readonly #lengths: number[] = [];
  readonly #starts: number[] = [];
  #isUtf8 = false;

  /** @param source the journal, which need not exist */
  constructor(
    source: JournalSource,
    private readonly index: JournalIndex,
  ) {
    const files = typeof source === 'string' ? [{ number: 0, path: source }] : source;
    for (const { number, path } of files)
      if (existsSync(path)) this.#descriptors.set(number, openFile(path, 'read'));
  }

  /** What the lines of the window stand in; valid until the next one is read. */
  get bytes(): Buffer {
    return this.#buffer;
  }

  /** True where all lines of the window are valid UTF-8. */
  get isUtf8(): boolean {
    return this.#isUtf8;
  }

  /** How many rows from `first` on, `most` at most, have lines that fit into memory together. */
  rowsThatFit(first: number, most: number): number {
    let bytes = 0;
    for (let rows = 0; rows < most; rows++) {
      bytes += this.index.lengthOf(first + rows) + GAP_BYTES / 64;
      if (bytes > WINDOW_BYTES && rows > 0) return rows;
    }
    return most;
  }

  /** Reads the lines of `rows` rows from `first` on. */
  read(first: number, rows: number): void {
    const order: number[] = [];
    let isSorted = true;
    for (let position = 0; position < rows; position++) {
      const length = this.#descriptors.size === 0 ? 0 : this.index.lengthOf(first + position);
      const offset = this.index.offsetOf(first + position);
      this.#lengths[position] = length;
      this.#offsets[position] = offset;
      this.#starts[position] = 0;
      if (length === 0) continue;
      const last = order.at(-1);
      if (last !== undefined && (this.#offsets[last] ?? 0) > offset) isSorted = false;
      order.push(position);
    }
    if (!isSorted) order.sort((a, b) => (this.#offsets[a] ?? 0) - (this.#offsets[b] ?? 0));
    this.#readInOrder(order);
  }

  #readInOrder(order: readonly number[]): void {
    this.#isUtf8 = true;
    let filled = 0;
    for (let next = 0; next < order.length;) {
      const from = this.#offsets[order[next] ?? 0] ?? 0;
      let to = from;
      for (; next < order.length; next++) {
        const position = order[next] ?? 0;
        const offset = this.#offsets[position] ?? 0;
        const end = offset + (this.#lengths[position] ?? 0);
        const fits = filled + (end - from) <= this.#buffer.length;
        if (to > from && (offset - to > GAP_BYTES || !fits)) break;
        this.#starts[position] = filled + (offset - from);
        to = Math.max(to, end);
      }
      filled += this.#readRange(from, to, filled);
    }
  }

  /** Reads a range of the journal to a place in the buffer, and returns its length. */
  #readRange(from: number, to: number, at: number): number {
    const length = to - from;
    if (at + length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(at + length, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    const room = this.#buffer.subarray(at, at + length);
    const descriptor = this.#descriptors.get(Math.floor(from / SEGMENT_SPAN));
    const read =
      descriptor === undefined ? room.subarray(0, 0) : readAt(descriptor, from % SEGMENT_SPAN, length, room);
    // The file became shorter since it was indexed: what is missing is no line.
    room.fill(0, read.length);
    this.#isUtf8 &&= isUtf8(room);
    return length;
  }

  /** Where a row's line starts in `bytes`; -1 where it has none. */
  start(position: number): number {
    return (this.#lengths[position] ?? 0) === 0 ? -1 : (this.#starts[position] ?? 0);
  }

  /** Where it ends, exclusive. */
  end(position: number): number {
    return (this.#starts[position] ?? 0) + (this.#lengths[position] ?? 0);
  }

  /** Where it is in the journal. */
  offset(position: number): number {
    return this.#offsets[position] ?? 0;
  }

  close(): void {
    for (const descriptor of this.#descriptors.values()) closeSync(descriptor);
  }
}
