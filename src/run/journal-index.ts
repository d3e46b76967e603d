/** Where each row's answer is in the journal. */

import type { JobPart } from '../requests/processor.js';
import { ROW_STATES, type RetriableState, type RowState } from '../types.js';
import type { Origin } from './origin.js';
import type { PartLine, RowParts } from './parts.js';
import { RowOrigins } from './row-origins.js';

/**
 * A place counts a journal's files: the number of the file × this, and the offset in it. A double holds that exactly for
 * 8,191 files of a terabyte.
 */
export const SEGMENT_SPAN = 2 ** 40;
/** The highest number that a segment can have. */
export const LAST_SEGMENT = 2 ** 53 / SEGMENT_SPAN - 1;

/** One file of a journal that has several: each attempt at a shard appends to a file of its own. */
export interface JournalSegment {
  /** From 1 on, and at most `LAST_SEGMENT`. A place in the file stays the same whatever other files there are. */
  number: number;
  path: string;
}

/**
 * Where answers are read from: the one file of an ordinary run, which this process may repair, or the segments of a
 * shard, which are read as they are, since another process may still append to one.
 */
export type JournalSource = string | readonly JournalSegment[];

/** Of two answers to one row the one with more of an answer counts, and of equals the first. */
const WORTH: Readonly<Record<RowState, number>> = {
  pending: 0,
  failed: 0,
  filtered: 1,
  refused: 1,
  truncated: 2,
  ok: 3,
};

/** Where a line is in the journal. */
export interface LinePlace {
  offset: number;
  /** Bytes, without the line break. */
  length: number;
}

/** A line that is part of a row's answer. */
export interface FoundPlace {
  place: LinePlace;
  part: JobPart | null;
  state: RowState;
  isError: boolean;
  /** The annotator that answered; null for the run's own. */
  annotator: string | null;
}

/** What kind of line it is. */
export interface LineKind {
  /** True for a failure. */
  isError: boolean;
  /** Null where the row's own request was answered. */
  origin: Origin | null;
}

/** Where each row is in the journal: 13 bytes a row, so that a million rows fit into 13 MB. */
export class JournalIndex {
  readonly #states: Uint8Array;
  readonly #offsets: Float64Array;
  readonly #lengths: Uint32Array;
  readonly #counts = new Array<number>(ROW_STATES.length).fill(0);
  /** The parts of its rows, where these take several requests; then rows are noted through them. */
  parts: RowParts | null = null;
  static readonly #pending = ROW_STATES.indexOf('pending');
  static readonly #failed = ROW_STATES.indexOf('failed');

  constructor(readonly rows: number) {
    this.origins = new RowOrigins(rows);
    this.#states = new Uint8Array(rows).fill(JournalIndex.#pending);
    // Filled, so that the system gives the memory now: a run that is too large fails at its start.
    this.#offsets = new Float64Array(rows).fill(0);
    this.#lengths = new Uint32Array(rows).fill(0);
    this.#counts[JournalIndex.#pending] = rows;
  }

  state(row: number): RowState {
    return ROW_STATES[this.#states[row] ?? JournalIndex.#pending] ?? 'pending';
  }

  /** How many rows are in a state. */
  count(state: RowState): number {
    return this.#counts[ROW_STATES.indexOf(state)] ?? 0;
  }

  /** How many rows are in each state. */
  get counts(): Record<RowState, number> {
    const counts = ROW_STATES.map((state) => [state, this.count(state)] as const);
    return Object.fromEntries(counts) as Record<RowState, number>;
  }

  /** True where the row has an answer, whatever it says; a failed row has none. */
  isAnswered(row: number): boolean {
    const state = this.#states[row] ?? JournalIndex.#pending;
    return state !== JournalIndex.#failed && state !== JournalIndex.#pending && !this.#errors.has(row);
  }

  /** Rows that are not to be sent, whatever their state; null for none. */
  #held: Uint8Array | null = null;

  /** Requests besides the rows' jobs, and whose answers rows have. */
  readonly origins: RowOrigins;

  /** Rows that another row's answer will serve; null for none. */
  #setAside: Uint8Array | null = null;
  #asideCount = 0;

  /** Keeps rows from being sent, whatever batches do: 1 for each whose request another row sends. */
  setAside(rows: Uint8Array | null): void {
    this.#setAside = rows;
    this.#asideCount = rows?.reduce((sum, one) => sum + one, 0) ?? 0;
  }

  /** How many rows another row's answer will serve. */
  get countAside(): number {
    return this.#asideCount;
  }

  /** True where a batch may still answer the row. */
  isHeld(row: number): boolean {
    return this.#held?.[row] === 1;
  }

  /** Keeps rows from being sent: 1 for each that a batch may still answer. */
  hold(rows: Uint8Array): void {
    this.#held = rows;
  }

  /** Rows that the provider refused as filtered have no answer: they count like failed ones. */
  readonly #errors = new Set<number>();

  /**
   * Whether another answer would replace what a row has: it always replaces a failure, and an answer only where it is
   * worth more, as a retried row's may be. So the same lines give the same result whenever they are read.
   */
  isImprovedBy(row: number, state: RowState): boolean {
    return !this.isAnswered(row) || WORTH[state] > WORTH[this.state(row)];
  }

  /**
   * Notes a line for a row: a later line replaces a failed one, and an answer only if its own is better. Its arguments are
   * not in an object because it is called for every line of a journal.
   * @returns whether the line counts
   */
  record(row: number, state: RowState, offset: number, length: number, isError = false): boolean {
    if (row >= this.rows) return false;
    if (this.isAnswered(row) && (isError || !this.isImprovedBy(row, state))) return false;
    this.#setState(row, ROW_STATES.indexOf(state));
    this.#offsets[row] = offset;
    this.#lengths[row] = length;
    if (isError && state !== 'failed') this.#errors.add(row);
    else if (this.#errors.size > 0) this.#errors.delete(row);
    return true;
  }

  /**
   * Notes a line of the journal, whichever part of its row it is about. What another annotator fails at or refuses as
   * well leaves the row as it is. Returns whether it counts.
   */
  recordLine(
    line: PartLine,
    state: RowState,
    place: LinePlace,
    { isError = false, origin = null }: Partial<LineKind> = {},
  ): boolean {
    if (origin !== null) {
      const isRefused = state === 'refused' || state === 'filtered';
      this.#noteOrigin(line, origin, !isError ? null : state === 'filtered' ? state : 'failed');
      if (origin.annotator !== undefined && (isError || isRefused)) return false;
    }
    if (this.parts !== null) return this.parts.record(line, state, place, { isError, origin });
    // A run that asks once has no use for further answers to a row.
    if (line.part !== null && line.part.number > 0) return false;
    if (!this.record(line.row, state, place.offset, place.length, isError)) return false;
    this.origins.noteAnswer(line.row, origin);
    return true;
  }

  #noteOrigin(line: PartLine, origin: Origin, failure: 'failed' | 'filtered' | null): void {
    this.origins.note(line.row, origin, failure);
    for (const slot of this.parts?.slotsOf(line) ?? []) this.parts?.slots.origins.note(slot, origin, failure);
  }

  /** Whether an answer would replace what a row, or the part of it that a line is about, has. */
  isLineImprovedBy(line: PartLine, state: RowState): boolean {
    const { parts } = this;
    if (parts === null) return this.isImprovedBy(line.row, state);
    return parts.slotsOf(line).some((slot) => parts.slots.isImprovedBy(slot, state));
  }

  /** The places of all lines of a row's answer. */
  placesOf(row: number): FoundPlace[] {
    const { parts } = this;
    if (parts === null) {
      const place = this.place(row);
      const state = this.state(row);
      const annotator = this.origins.answeredBy(row);
      return place === null ? [] : [{ place, part: null, state, isError: !this.isAnswered(row), annotator }];
    }
    return parts.placesOf(row);
  }

  /** Sets what a row's parts come to. */
  replace(row: number, state: RowState, { offset, length }: LinePlace, isError: boolean): void {
    this.#setState(row, ROW_STATES.indexOf(state));
    this.#offsets[row] = offset;
    this.#lengths[row] = length;
    if (isError && state !== 'failed') this.#errors.add(row);
    else this.#errors.delete(row);
  }

  #setState(row: number, code: number): void {
    const before = this.#states[row] ?? JournalIndex.#pending;
    this.#counts[before] = (this.#counts[before] ?? 0) - 1;
    this.#counts[code] = (this.#counts[code] ?? 0) + 1;
    this.#states[row] = code;
  }

  /** Takes a line for one that was never there, since it turned out to be damaged. */
  forgetLine(row: number, offset: number): void {
    if (this.parts === null) this.forget(row);
    else this.parts.forget(row, offset);
  }

  /** Takes a row for one that was never asked: its line turned out to be damaged. */
  forget(row: number): void {
    this.#setState(row, JournalIndex.#pending);
    this.#lengths[row] = 0;
    this.#errors.delete(row);
  }

  /**
   * True for a row to send: a pending one, and one in a state to retry. A row that cannot be
   * used failed without a line in the journal, and retrying does not change that.
   */
  isWanted(row: number, retry: readonly RetriableState[]): boolean {
    if (row >= this.rows || this.#held?.[row] === 1 || this.#setAside?.[row] === 1) return false;
    const state = this.state(row);
    if (state === 'pending') return true;
    return (retry as readonly RowState[]).includes(state) && this.lengthOf(row) > 0;
  }

  /** The number of rows to send. */
  countWanted(retry: readonly RetriableState[]): number {
    let wanted = 0;
    for (let row = 0; row < this.rows; row++) if (this.isWanted(row, retry)) wanted += 1;
    return wanted;
  }

  /** Bytes of a row's line; 0 where it has none. */
  lengthOf(row: number): number {
    return this.#lengths[row] ?? 0;
  }

  /** Where a row's line is, if it has one. */
  offsetOf(row: number): number {
    return this.#offsets[row] ?? 0;
  }

  /** The place of a row's line; null for a pending row. */
  place(row: number): LinePlace | null {
    const length = this.#lengths[row] ?? 0;
    return length === 0 ? null : { offset: this.#offsets[row] ?? 0, length };
  }
}
