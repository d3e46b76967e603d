/** The requests of a run by their digests: which rows send the same one, and which row sends a given one. */

import { closeSync } from 'node:fs';
import { cooperativePause, openFile, readAt, readLines } from '../lib/files.js';
import { digestOf, type Digest } from '../lib/digests.js';
import { headOf, readJobHead } from './jobs.js';

const WINDOW_BYTES = 1 << 16;
const NONE = 0xffff_ffff;
const NO_JOB = -1;

/** A table over `jobs.json`: 36 bytes a row. Bodies stay in the file, which is open until `close`. */
export class RequestTable {
  readonly #high: Uint32Array;
  readonly #low: Uint32Array;
  readonly #offsets: Float64Array;
  /** By digest, the last row of each request; `NONE` in an empty slot. */
  readonly #slots: Uint32Array;
  /** Of each row, the first row that sends the same request. */
  readonly #first: Uint32Array;
  /** The next row that sends the same request; after the last one the first. */
  readonly #next: Uint32Array;
  readonly #jobs: JobFile;
  #duplicates = 0;
  /** The row that was found last. */
  #found = -1;

  private constructor(
    path: string,
    readonly rows: number,
  ) {
    this.#jobs = new JobFile(path);
    this.#high = new Uint32Array(rows);
    this.#low = new Uint32Array(rows);
    this.#offsets = new Float64Array(rows).fill(NO_JOB);
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(rows, 8) * 1.5))).fill(NONE);
    this.#first = new Uint32Array(rows).fill(NONE);
    this.#next = new Uint32Array(rows).fill(NONE);
  }

  /** Reads the jobs of a run once. */
  static async read(path: string, rows: number, onProgress: (rows: number) => void): Promise<RequestTable> {
    const table = new RequestTable(path, rows);
    const pause = cooperativePause();
    try {
      for (const { bytes, offset } of readLines(path)) {
        const job = bytes.length === 0 ? null : readJobHead(bytes);
        if (job === null || job.requestIdx >= rows) continue;
        table.#add(job.requestIdx, job.head, offset);
        onProgress(job.requestIdx);
        const turn = pause();
        if (turn !== undefined) await turn;
      }
    } catch (error) {
      table.close();
      throw error;
    }
    return table;
  }

  /** Rows that send a request which an earlier row sends as well. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** The first of the rows that send this request; null where none does. Two runs mostly ask in the same order. */
  find(body: Buffer): number | null {
    const next = this.#found + 1;
    const head = headOf(body);
    const isNext = next < this.rows && this.#hasHead(next, head);
    const row = isNext ? next : (this.#slots[this.#slotOf(digestOf(head), head)] ?? NONE);
    if (row === NONE) return null;
    this.#found = row;
    return this.firstOf(row);
  }

  /** The first row that sends the same request; null for a row without a request. */
  firstOf(row: number): number | null {
    const first = this.#first[row] ?? NONE;
    return first === NONE ? null : first;
  }

  /** The next row that sends the same request; null after the last. */
  nextOf(row: number): number | null {
    const next = this.#next[row] ?? NONE;
    return next === NONE || next === this.#first[row] ? null : next;
  }

  #hasHead(row: number, head: Buffer): boolean {
    const offset = this.#offsets[row] ?? NO_JOB;
    return offset !== NO_JOB && readJobHead(this.#jobs.lineAt(offset))?.head.equals(head) === true;
  }

  close(): void {
    this.#jobs.close();
  }

  #add(row: number, head: Buffer, offset: number): void {
    if (this.#offsets[row] !== NO_JOB) return;
    const digest = digestOf(head);
    this.#high[row] = digest.high;
    this.#low[row] = digest.low;
    this.#offsets[row] = offset;
    const slot = this.#slotOf(digest, head);
    const last = this.#slots[slot] ?? NONE;
    const first = last === NONE ? row : (this.#first[last] ?? row);
    this.#first[row] = first;
    this.#next[row] = first;
    if (last !== NONE) {
      this.#next[last] = row;
      this.#duplicates += 1;
    }
    this.#slots[slot] = row;
  }

  /** The slot of a request: the one that it has, or the empty one that it would get. */
  #slotOf({ high, low }: Digest, head: Buffer): number {
    const mask = this.#slots.length - 1;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const row = this.#slots[slot] ?? NONE;
      if (row === NONE) return slot;
      if (this.#high[row] !== high || this.#low[row] !== low) continue;
      if (this.#hasHead(row, head)) return slot;
    }
  }
}

/** Reads single lines of `jobs.json`; those that follow each other from memory. */
class JobFile {
  readonly #descriptor: number;
  readonly #buffer = Buffer.allocUnsafe(WINDOW_BYTES);
  #window: Buffer = this.#buffer.subarray(0, 0);
  #start = 0;

  constructor(path: string) {
    this.#descriptor = openFile(path, 'read');
  }

  lineAt(offset: number): Buffer {
    return this.#inWindow(offset) ?? this.#load(offset);
  }

  #inWindow(offset: number): Buffer | null {
    const from = offset - this.#start;
    if (from < 0 || from >= this.#window.length) return null;
    const end = this.#window.indexOf('\n', from);
    return end === -1 ? null : this.#window.subarray(from, end);
  }

  #load(offset: number): Buffer {
    this.#start = offset;
    this.#window = readAt(this.#descriptor, offset, WINDOW_BYTES, this.#buffer);
    const line = this.#inWindow(offset);
    if (line !== null) return line;
    // A line that is longer than the window, or the last of a file that was cut.
    for (let length = WINDOW_BYTES * 4; ; length *= 4) {
      const bytes = readAt(this.#descriptor, offset, length);
      const end = bytes.indexOf('\n');
      if (end !== -1 || bytes.length < length) return end === -1 ? bytes : bytes.subarray(0, end);
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
