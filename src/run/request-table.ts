/** The requests of a run by their digests: which rows send the same one, and which row sends a given one. */

import { closeSync } from 'node:fs';
import { cooperativePause, openFile, readAt, readLines } from '../lib/files.js';
import { digestOf, type Digest } from '../lib/digests.js';
import { headOf, readJobHead } from './jobs.js';

const WINDOW_BYTES = 1 << 16;
const NONE = 0xffff_ffff;
/** Slots for each row: with fewer, looking for a free one takes long. */
const SLOTS_A_ROW = 1.25;
/** Rows from one place that is remembered in `jobs.json` to the next. */
const ROWS_A_MARK = 32;
const NO_JOB = -1;

/**
 * A table over `jobs.json`: 10.4 bytes a row, and 8 more where rows have the same request. A slot holds the row and four
 * bytes of its request's digest, and the slot's place says as much again; whether a request is really the same is read in
 * the file, which is open until `close`.
 */
export class RequestTable {
  /** By digest, four bytes of it and the last row of each request; `NONE` for the row of an empty slot. */
  readonly #slots: Uint32Array;
  /** A bit for each row that has a request. */
  readonly #hasJob: Uint8Array;
  readonly #jobs: JobFile;
  /** Null as long as no two rows have the same request. */
  #same: SameRequests | null = null;
  #duplicates = 0;
  /** The row that was found last. */
  #found = -1;

  private constructor(
    path: string,
    readonly rows: number,
  ) {
    this.#jobs = new JobFile(path, rows);
    this.#slots = new Uint32Array(2 * Math.ceil(rows * SLOTS_A_ROW + 1)).fill(NONE);
    this.#hasJob = new Uint8Array(Math.ceil(rows / 8));
  }

  /** Reads the jobs of a run once. */
  static async read(path: string, rows: number, onProgress: (rows: number) => void): Promise<RequestTable> {
    const table = new RequestTable(path, rows);
    const pause = cooperativePause();
    let last = -1;
    try {
      for (const { bytes, offset } of readLines(path)) {
        const job = bytes.length === 0 ? null : readJobHead(bytes);
        // Jobs are in the order of their rows; the file would not be ours otherwise.
        if (job === null || job.requestIdx >= rows || job.requestIdx <= last) continue;
        last = job.requestIdx;
        table.#add(last, job.head, offset);
        onProgress(last);
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
    const isNext = this.#isAsked(next) && this.#hasHead(next, head);
    const row = isNext ? next : this.#rowAt(this.#slotOf(digestOf(head), head));
    if (row === NONE) return null;
    this.#found = row;
    return this.firstOf(row);
  }

  /** The first row that sends the same request; null for a row without a request. */
  firstOf(row: number): number | null {
    return this.#isAsked(row) ? (this.#same?.firstOf(row) ?? row) : null;
  }

  /** The next row that sends the same request; null after the last. */
  nextOf(row: number): number | null {
    return this.#same?.nextOf(row) ?? null;
  }

  close(): void {
    this.#jobs.close();
  }

  #add(row: number, head: Buffer, offset: number): void {
    this.#jobs.note(row, offset);
    const bits = this.#hasJob[row >> 3] ?? 0;
    this.#hasJob[row >> 3] = bits | (1 << (row & 7));
    const digest = digestOf(head);
    const slot = this.#slotOf(digest, head);
    const last = this.#rowAt(slot);
    if (last !== NONE) {
      this.#same ??= new SameRequests(this.rows);
      this.#same.link(last, row);
      this.#duplicates += 1;
    }
    this.#slots[slot] = digest.high;
    this.#slots[slot + 1] = row;
  }

  #isAsked(row: number): boolean {
    return ((this.#hasJob[row >> 3] ?? 0) & (1 << (row & 7))) !== 0;
  }

  #rowAt(slot: number): number {
    return this.#slots[slot + 1] ?? NONE;
  }

  /** The slot of a request: the one that it has, or the empty one that it would get. */
  #slotOf({ high, low }: Digest, head: Buffer): number {
    const size = this.#slots.length;
    // The low half decides about the place, whatever the number of slots.
    for (let slot = 2 * Math.floor((low / 2 ** 32) * (size / 2)); ; slot = slot + 2 < size ? slot + 2 : 0) {
      const row = this.#rowAt(slot);
      if (row === NONE) return slot;
      if (this.#slots[slot] === high && this.#hasHead(row, head)) return slot;
    }
  }

  #hasHead(row: number, head: Buffer): boolean {
    return this.#jobs.headAt(row)?.equals(head) === true;
  }
}

/** Rows that send the same request: 8 bytes a row. */
class SameRequests {
  /** The first of them; `NONE` for a row that is the first itself. */
  readonly #first: Uint32Array;
  /** The next of them; `NONE` for the last. */
  readonly #next: Uint32Array;

  constructor(rows: number) {
    this.#first = new Uint32Array(rows).fill(NONE);
    this.#next = new Uint32Array(rows).fill(NONE);
  }

  /** @param last the last row so far that sends what another one sends as well */
  link(last: number, row: number): void {
    this.#next[last] = row;
    this.#first[row] = this.firstOf(last);
  }

  firstOf(row: number): number {
    const first = this.#first[row] ?? NONE;
    return first === NONE ? row : first;
  }

  nextOf(row: number): number | null {
    const next = this.#next[row] ?? NONE;
    return next === NONE ? null : next;
  }
}

/** Reads single jobs of `jobs.json`; those that follow each other from memory. A quarter of a byte a row. */
class JobFile {
  readonly #descriptor: number;
  readonly #buffer = Buffer.allocUnsafe(WINDOW_BYTES);
  /** The offset of the first job in each group of `ROWS_A_MARK` rows; `NO_JOB` for a group without one. */
  readonly #marks: Float64Array;
  #window: Buffer = this.#buffer.subarray(0, 0);
  #start = 0;
  /** The row that was read last, and where its line ends. */
  #row = -1;
  #end = 0;

  constructor(path: string, rows: number) {
    this.#descriptor = openFile(path, 'read');
    this.#marks = new Float64Array(Math.ceil(rows / ROWS_A_MARK)).fill(NO_JOB);
  }

  /** Learns where a job is. */
  note(row: number, offset: number): void {
    const mark = Math.floor(row / ROWS_A_MARK);
    if (this.#marks[mark] === NO_JOB) this.#marks[mark] = offset;
  }

  /** The request of a row, up to its metadata; null where the file does not have it. */
  headAt(row: number): Buffer | null {
    const isNear = row > this.#row && row - this.#row < ROWS_A_MARK && this.#row !== -1;
    let offset = isNear ? this.#end : (this.#marks[Math.floor(row / ROWS_A_MARK)] ?? NO_JOB);
    while (offset !== NO_JOB) {
      const line = this.#lineAt(offset);
      if (line === null) return null;
      offset += line.length + 1;
      const job = line.length === 0 ? null : readJobHead(line);
      if (job === null) continue;
      this.#row = job.requestIdx;
      this.#end = offset;
      if (job.requestIdx === row) return job.head;
      if (job.requestIdx > row) return null;
    }
    return null;
  }

  /** Null at the end of the file. */
  #lineAt(offset: number): Buffer | null {
    return this.#inWindow(offset) ?? this.#load(offset);
  }

  #inWindow(offset: number): Buffer | null {
    const from = offset - this.#start;
    if (from < 0 || from >= this.#window.length) return null;
    const end = this.#window.indexOf('\n', from);
    return end === -1 ? null : this.#window.subarray(from, end);
  }

  #load(offset: number): Buffer | null {
    this.#start = offset;
    this.#window = readAt(this.#descriptor, offset, WINDOW_BYTES, this.#buffer);
    if (this.#window.length === 0) return null;
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
