import { closeSync } from 'node:fs';
import { yieldToEventLoop, openFile, readAt, readLines } from '../lib/files.js';
import { rowOf } from './request-line.js';

const BREATHE_EVERY = 1000;

/** Where each row's line is in a file of requests: 12 bytes a row of the run. */
export class LineIndex {
  readonly #offsets: Float64Array;
  readonly #lengths: Uint32Array;
  readonly #descriptor: number;
  /** Requests in the file. */
  size = 0;

  private constructor(
    readonly path: string,
    readonly rows: number,
  ) {
    this.#offsets = new Float64Array(rows);
    this.#lengths = new Uint32Array(rows);
    this.#descriptor = openFile(path, 'read');
  }

  /**
   * Reads a file of requests once.
   * @param identify the row of a line; lines of rows that the run does not have are counted in `foreign`
   */
  static async build(
    path: string,
    rows: number,
    identify: (line: Buffer) => number | null = rowOf,
  ): Promise<{ index: LineIndex; foreign: number }> {
    const index = new LineIndex(path, rows);
    let foreign = 0;
    let number = 0;
    for (const { bytes, offset } of readLines(path)) {
      number += 1;
      if (number % BREATHE_EVERY === 0) await yieldToEventLoop();
      if (bytes.length === 0) continue;
      const row = identify(bytes);
      if (row === null || row >= rows) {
        foreign += 1;
        continue;
      }
      index.#offsets[row] = offset;
      index.#lengths[row] = bytes.length;
      index.size += 1;
    }
    return { index, foreign };
  }

  has(row: number): boolean {
    return (this.#lengths[row] ?? 0) > 0;
  }

  /** A row's line; null where the file has none. */
  read(row: number): Buffer | null {
    const length = this.#lengths[row] ?? 0;
    if (length === 0) return null;
    const line = readAt(this.#descriptor, this.#offsets[row] ?? 0, length);
    return line.length === length ? line : null;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
