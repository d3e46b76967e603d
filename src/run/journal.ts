/**
 * `output.jsonl`, the journal: every answer as it arrived, append-only, one line a row:
 * `[request, response, {"request_idx":N}]`, or `[request, ["error", …], {"request_idx":N}]` for a row that failed for
 * good. It is what was paid for: never rewritten, never deleted.
 */

import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { AnswerFigures } from '../models/usage.js';
import { UserError } from '../lib/errors.js';
import { holdsLock, rescuePath } from '../lib/fence.js';
import {
  cooperativePause,
  endOfLine,
  fileProblem,
  makeFolder,
  openFile,
  readAt,
  readBlocks,
  replaceFile,
  writeAll,
  readOwnText,
} from '../lib/files.js';
import { parseJson } from '../lib/json.js';
import { noteDiscarded } from '../lib/memory.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { STANDARD_RULES } from '../models/finish-reason.js';
import { FILTERED_MARK, parseJournalLine } from './journal-line.js';
import { LineScanner, type PeekedLine } from './line-scanner.js';
import { annotatorOf, isPaid, originFields, type Origin } from './origin.js';
import { partSuffix } from './line-part.js';
import type { PartLine, RowParts } from './parts.js';
import { PartialLines, type PartialRows } from './partial-lines.js';
import type { JobPart } from '../requests/processor.js';
import { RowOrigins } from './row-origins.js';
import { ROW_STATES, type RetriableState, type RowState } from '../types.js';

const SYNC_INTERVAL_MS = 1000;
const INITIAL_BUFFER_BYTES = 1 << 18;
const NEWLINE = 0x0a;
const COMMA = 0x2c;
const OPENING_BRACKET = 0x5b;

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

/** A line that a row's answer is made of. */
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

  /** The places of all lines that a row's answer is made of. */
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
   * True for a row that is to be sent: a pending one, and one in a state that is to be retried. A row that cannot be
   * used failed without a line in the journal, and retrying does not change that.
   */
  isWanted(row: number, retry: readonly RetriableState[]): boolean {
    if (row >= this.rows || this.#held?.[row] === 1 || this.#setAside?.[row] === 1) return false;
    const state = this.state(row);
    if (state === 'pending') return true;
    return (retry as readonly RowState[]).includes(state) && this.lengthOf(row) > 0;
  }

  /** How many rows are to be sent. */
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

/** What a line of the journal cost when it was written, and whether its row uses it. */
export type ScannedEntry =
  | { kind: 'answer'; answer: AnswerFigures; origin: Origin | null; part: JobPart | null }
  /** It was paid for, and its row does not use it: it may be incomplete, is empty, or another answer is no worse. */
  | { kind: 'unused'; answer: AnswerFigures; origin: Origin | null };

/** What was found when an existing journal was read. */
export interface JournalReport {
  /** Bytes of a torn last line that were cut. */
  tornBytes: number;
  /** Lines that can't be read; their rows are asked again. */
  damaged: number;
  /** Lines of rows that this run does not have. */
  foreign: number;
  lines: number;
  /** Rows whose answers may be incomplete, by how they ended; they are still to be asked. */
  partial: PartialRows[];
}

/** How a journal is read. */
export interface JournalReading {
  /** Which answers count as whole; lines that earlier versions took for one are judged again. */
  rules?: AnswerRules;
  /** True where every line is parsed, so that damage is found at once which otherwise shows when the line is used. */
  isThorough?: boolean;
  /** Called for every paid answer. */
  onEntry?: (entry: ScannedEntry) => void;
}

/** Reads an existing journal into an index, in bounded memory. Of several segments the union counts. */
export async function scanJournal(
  source: JournalSource,
  index: JournalIndex,
  { rules = STANDARD_RULES, isThorough = false, onEntry = () => undefined }: JournalReading = {},
): Promise<JournalReport> {
  const report: JournalReport = { tornBytes: 0, damaged: 0, foreign: 0, lines: 0, partial: [] };
  const partial = new PartialLines(index.rows);
  // A quick look knows nothing of the parts of rows, nor of schemas.
  const isParsed = isThorough || index.parts !== null || rules.violationIn !== undefined;
  const scan: Scan = { source, index, report, partial, rules, isParsed, onEntry };
  if (typeof source === 'string') {
    if (!existsSync(source)) return report;
    repairEnd(source, report);
    takeInRescued(source);
    await scanFile(source, 0, scan);
  } else {
    for (const { path, number } of source) await scanFile(path, number, { ...scan, isSegment: true });
  }
  report.partial = partial.unanswered(index);
  return report;
}

async function scanFile(path: string, number: number, scan: Scan): Promise<void> {
  const { index, report, isParsed, onEntry } = scan;
  const base = number * SEGMENT_SPAN;
  const damaged = readDamaged(path);
  const scanner = new LineScanner();
  const pause = cooperativePause();
  for (const { bytes, offset } of readBlocks(path)) {
    const blockStart = base + offset;
    for (let next = 0; next < bytes.length;) {
      const start = next;
      const end = endOfLine(bytes, start);
      next = end + 1;
      if (end === start) continue;
      report.lines += 1;
      if (damaged.size > 0 && damaged.has(blockStart + start)) {
        report.damaged += 1;
        continue;
      }
      const seen = isParsed ? null : scanner.peek(bytes, start, end);
      if (seen === null) {
        const line = bytes.subarray(start, end);
        if (scan.isSegment === true && end === bytes.length && parseJournalLine(line) === null) {
          // Its process was killed, or is writing it.
          report.tornBytes += line.length;
          report.lines -= 1;
        } else noteParsed(line, blockStart + start, scan);
      } else if (seen.row >= index.rows) report.foreign += 1;
      else {
        const { row, origin } = seen;
        const isUsed =
          origin === null && !index.origins.hasOthers
            ? index.record(row, 'ok', blockStart + start, end - start)
            : noteSent(seen, { offset: blockStart + start, length: end - start }, index);
        if (isUsed) onEntry({ kind: 'answer', answer: seen, origin, part: null });
        else if (isPaid(origin))
          noteUnused(bytes.subarray(start, end), wholeRow(row), scan, { origin, figures: () => seen });
      }
    }
    await pause();
  }
}

/** A journal that is being read. */
interface Scan {
  source: JournalSource;
  index: JournalIndex;
  report: JournalReport;
  partial: PartialLines;
  rules: AnswerRules;
  /** True where every line is parsed. */
  isParsed: boolean;
  onEntry: (entry: ScannedEntry) => void;
  /** True where another process may append to the file. */
  isSegment?: boolean;
}

/** Where the damaged lines are listed that only the assembly found: a scan looks at nothing but the ends of a line. */
function damagedPath(journalPath: string): string {
  return join(dirname(journalPath), 'damaged_lines.json');
}

function readDamaged(journalPath: string): Set<number> {
  const path = damagedPath(journalPath);
  const value = existsSync(path) ? parseJson(readOwnText(path)) : [];
  return new Set(
    Array.isArray(value) ? value.filter((offset): offset is number => typeof offset === 'number') : [],
  );
}

/** Notes lines that can't be read, so that their rows are asked again; the journal itself is never changed. */
export async function noteDamaged(journalPath: string, offsets: readonly number[]): Promise<void> {
  const all = [...new Set([...readDamaged(journalPath), ...offsets])].sort((a, b) => a - b);
  await replaceFile(damagedPath(journalPath), (file) => {
    file.write(`${JSON.stringify(all)}\n`);
  });
}

/** A line of which a quick look does not give everything. */
function noteParsed(bytes: Buffer, offset: number, scan: Scan): void {
  const { index, report, onEntry } = scan;
  const entry = parseJournalLine(bytes, scan.rules);
  noteDiscarded(bytes.length * 3);
  if (entry === null) {
    report.damaged += 1;
    return;
  }
  const { row, part, origin } = entry;
  const place = { offset, length: bytes.length };
  const onUnused = (answer: AnswerFigures): void => {
    onEntry({ kind: 'unused', answer, origin });
  };
  if (row >= index.rows) report.foreign += 1;
  else if (entry.kind === 'failure') {
    index.recordLine({ row, part, choices: 1 }, entry.state, place, { isError: true, origin });
    if (entry.usage !== null) onUnused({ usage: entry.usage, tier: 'standard' });
  } else if (entry.kind === 'unfit') {
    onUnused(entry.figures);
  } else if (entry.kind === 'partial') {
    // One of another annotator says nothing of the row's own request.
    if (annotatorOf(origin) === null) scan.partial.note(row, entry.reason);
    onUnused(entry.figures);
  } else {
    const { completion } = entry;
    const line = { row, part, choices: completion.annotations.length };
    if (index.recordLine(line, completion.state, place, { origin }))
      onEntry({ kind: 'answer', answer: entry.figures(), origin, part });
    else if (isPaid(origin)) noteUnused(bytes, line, scan, entry);
  }
}

/** Notes a whole answer seen by a quick look. */
function noteSent({ row, origin }: PeekedLine, place: LinePlace, index: JournalIndex): boolean {
  return index.recordLine(wholeRow(row), 'ok', place, { origin });
}

function wholeRow(row: number): PartLine {
  return { row, part: null, choices: 1 };
}

/**
 * An answer that is no better than the one its row has. It was paid for as well, unless it is a copy of that line: a
 * crash while rescued lines are taken in leaves some of them twice.
 */
function noteUnused(
  line: Buffer,
  about: PartLine,
  { source, index, onEntry }: Scan,
  { origin, figures }: { origin: Origin | null; figures: () => AnswerFigures },
): void {
  const { parts } = index;
  const [slot] = parts?.slotsOf(about) ?? [];
  const place = parts === null ? index.place(about.row) : slot === undefined ? null : parts.slots.place(slot);
  if (place?.length === line.length && readLineAt(source, place).equals(line)) return;
  onEntry({ kind: 'unused', answer: figures(), origin });
}

function readLineAt(source: JournalSource, { offset, length }: LinePlace): Buffer {
  const number = Math.floor(offset / SEGMENT_SPAN);
  const path = typeof source === 'string' ? source : source.find((one) => one.number === number)?.path;
  if (path === undefined) return Buffer.alloc(0);
  const descriptor = openFile(path, 'read');
  try {
    return readAt(descriptor, offset % SEGMENT_SPAN, length);
  } finally {
    closeSync(descriptor);
  }
}

/** Cuts a last line that a crash tore; one that is whole and lacks only its newline gets it. */
function repairEnd(path: string, report: JournalReport): void {
  const descriptor = openFile(path, 'change');
  try {
    const size = fstatSync(descriptor).size;
    const lineStart = lastLineStart(descriptor, size);
    if (lineStart === size) return;
    const last = Buffer.alloc(size - lineStart);
    readSync(descriptor, last, 0, last.length, lineStart);
    if (parseJournalLine(last) !== null) {
      writeAtEnd(path, '\n');
      return;
    }
    ftruncateSync(descriptor, lineStart);
    report.tornBytes = size - lineStart;
  } catch (error) {
    throw fileProblem(error, `repair ${path}`);
  } finally {
    closeSync(descriptor);
  }
}

/** Takes in the lines that a process saved elsewhere after it had lost the run to another one. */
function takeInRescued(path: string): void {
  const folder = dirname(path);
  const names = readdirSync(folder).filter((name) => name.startsWith(`${basename(path)}.rescued-`));
  for (const name of names.sort()) {
    const rescued = join(folder, name);
    const journal = openFile(path, 'append');
    try {
      for (const { bytes } of readBlocks(rescued)) {
        // A torn last line is nobody's answer.
        writeAll(journal, bytes.subarray(0, bytes.lastIndexOf(NEWLINE) + 1));
      }
      fdatasyncSync(journal);
    } catch (error) {
      throw fileProblem(error, `take ${rescued} into ${path}`);
    } finally {
      closeSync(journal);
    }
    rmSync(rescued);
  }
}

function writeAtEnd(path: string, text: string): void {
  const descriptor = openFile(path, 'append');
  try {
    writeAll(descriptor, Buffer.from(text));
  } finally {
    closeSync(descriptor);
  }
}

/** Where the text after the last newline starts; the size where nothing is there. */
function lastLineStart(descriptor: number, size: number): number {
  const chunk = Buffer.alloc(1 << 16);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunk.length);
    const length = readSync(descriptor, chunk, 0, end - start, start);
    const newline = chunk.subarray(0, length).lastIndexOf(NEWLINE);
    if (newline !== -1) return start + newline + 1;
    end = start;
  }
  return 0;
}

/** The journal is no longer where it was opened: its folder was deleted, moved or replaced. */
export class JournalGone extends UserError {}

/** What a line is about. */
export interface LineSubject {
  row: number;
  /** Absent for the row as a whole. */
  part?: JobPart | undefined;
  /** Null, or absent, for the answer to the row's unchanged job. */
  origin?: Origin | null;
}

/** Why a row has no answer. */
export interface RowFailure {
  errors: readonly string[];
  /** True where a provider's filter refused it. */
  filtered: boolean;
}

/**
 * Appends to the journal. What arrives in one turn of the event loop goes to the file in one write at its end, well
 * within 50 ms, and is forced to disk at least every second.
 */
export class JournalWriter {
  #descriptor: number;
  #buffer = Buffer.allocUnsafe(INITIAL_BUFFER_BYTES);
  #used = 0;
  /** Bytes of the file that are known to be whole lines. */
  #written: number;
  /** The origin of the last copy, and how its line's metadata begin. */
  #origin: { origin: Origin; fields: Buffer } | null = null;
  #scheduled = false;
  #dirty = false;
  #syncing = false;
  #failure: unknown = null;
  #closed = false;
  /** True once lines go to a file of their own, because the journal is another process's by now. */
  #isDiverted = false;
  readonly #timer: NodeJS.Timeout;
  /** Where the file starts among those of its journal. */
  readonly #base: number;

  /**
   * @param path an existing journal is continued at its end
   * @param onFailure called once when the file can't be written; what is not written stays in memory for `close`
   * @param segment the file's number where the journal has several; no other process ever appends to this one
   */
  constructor(
    readonly path: string,
    private readonly onFailure: (error: Error) => void,
    private readonly segment: number | null = null,
  ) {
    try {
      // Readable, so that it can be saved where its folder is deleted.
      this.#descriptor = openFile(path, 'append and read');
      this.#written = fstatSync(this.#descriptor).size;
    } catch (error) {
      throw fileProblem(error, `write ${path}`);
    }
    this.#base = (segment ?? 0) * SEGMENT_SPAN;
    this.#timer = setInterval(this.#sync, SYNC_INTERVAL_MS);
    this.#timer.unref();
  }

  /**
   * Appends a line of which request and response are JSON already. Returns its place.
   */
  appendAnswer(request: Buffer, response: Buffer, { row, part, origin = null }: LineSubject): LinePlace {
    if (origin !== null)
      return this.appendCopy(Buffer.concat([request, Buffer.of(COMMA), response]), { row, part, origin });
    const end = `,{"request_idx":${row}${partSuffix(part)}}]\n`;
    const length = 1 + request.length + 1 + response.length + end.length;
    this.#reserve(length);
    const offset = this.#base + this.#written + this.#used;
    this.#buffer[this.#used++] = OPENING_BRACKET;
    this.#used += request.copy(this.#buffer, this.#used);
    this.#buffer[this.#used++] = COMMA;
    this.#used += response.copy(this.#buffer, this.#used);
    this.#used += this.#buffer.write(end, this.#used, 'latin1');
    this.#schedule();
    return { offset, length: length - 1 };
  }

  /**
   * Appends a line that another row, or another run, has already. Returns its place.
   * @param content the request and its response as they are in that line, without the brackets around them
   */
  appendCopy(content: Buffer, { row, part, origin }: LineSubject & { origin: Origin }): LinePlace {
    const fields = this.#fieldsOf(origin);
    const end = `${row}${partSuffix(part)}}]\n`;
    const length = 1 + content.length + fields.length + end.length;
    this.#reserve(length);
    const offset = this.#base + this.#written + this.#used;
    this.#buffer[this.#used++] = OPENING_BRACKET;
    this.#used += content.copy(this.#buffer, this.#used);
    this.#used += fields.copy(this.#buffer, this.#used);
    this.#used += this.#buffer.write(end, this.#used, 'latin1');
    this.#schedule();
    return { offset, length: length - 1 };
  }

  /** What comes before the row's number; lines of one origin follow each other. */
  #fieldsOf(origin: Origin): Buffer {
    if (this.#origin?.origin !== origin) {
      const fields = JSON.stringify({ ...originFields(origin), request_idx: 0 }).slice(0, -2);
      this.#origin = { origin, fields: Buffer.from(`,${fields}`) };
    }
    return this.#origin.fields;
  }

  /** Appends a row that failed for good. */
  appendFailure(request: Buffer, { errors, filtered }: RowFailure, subject: LineSubject): LinePlace {
    const listed = filtered ? [...errors, FILTERED_MARK] : errors;
    return this.appendAnswer(request, Buffer.from(JSON.stringify(listed), 'utf8'), subject);
  }

  #reserve(length: number): void {
    if (this.#used + length <= this.#buffer.length) return;
    if (this.#failure === null) this.flush();
    if (this.#used + length <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#used + length));
    this.#buffer.copy(larger, 0, 0, this.#used);
    this.#buffer = larger;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#failure === null) this.flush();
    });
  }

  /** Writes what is collected; after a failure only `close` tries again. */
  flush(): void {
    if (this.#used === 0) return;
    try {
      if (!holdsLock()) this.#divert();
      this.#write();
      this.#written += this.#used;
      this.#used = 0;
      this.#dirty = true;
    } catch (error) {
      this.#failure = error;
      this.#undoPartialWrite();
      this.onFailure(fileProblem(error, `write ${this.path}`));
    }
  }

  #write(): void {
    const bytes = this.#buffer.subarray(0, this.#used);
    writeAll(this.#descriptor, bytes);
    if (!this.#isDiverted || fstatSync(this.#descriptor).nlink > 0) return;
    // A later run has taken the file in and removed it, perhaps before these lines: in a new one they are not lost.
    this.#openRescue();
    writeAll(this.#descriptor, bytes);
  }

  #openRescue(): void {
    closeSync(this.#descriptor);
    this.#descriptor = openFile(rescuePath(this.path), 'append');
    this.#written = fstatSync(this.#descriptor).size;
  }

  /** What came after another process took the run over is paid for, and the journal is no longer this one's to write. */
  #divert(): void {
    // A journal that is gone is saved as a whole when it is closed. A segment stays this process's.
    if (this.#isDiverted || this.segment !== null || !this.#isInPlace()) return;
    this.#isDiverted = true;
    this.#openRescue();
  }

  /** A full disk may take half a line; the file ends with whole lines again. */
  #undoPartialWrite(): void {
    try {
      ftruncateSync(this.#descriptor, this.#written);
    } catch {
      // The next start cuts the torn line.
    }
  }

  readonly #sync = (): void => {
    if (this.#failure === null && !this.#isInPlace()) {
      this.#failure = new JournalGone(`${dirname(this.path)} was deleted, moved or replaced.`);
      this.onFailure(this.#failure as Error);
      return;
    }
    if (!this.#dirty || this.#syncing) return;
    this.#dirty = false;
    this.#syncing = true;
    fdatasync(this.#descriptor, (error) => {
      this.#syncing = false;
      if (error !== null && !this.#closed && this.#failure === null) {
        this.#failure = error;
        this.onFailure(fileProblem(error, `write ${this.path}`));
      }
    });
  };

  /**
   * Writes and syncs the rest and closes the file.
   * @throws UserError where answers could not be written: they are lost, and will be asked again
   */
  close(): void {
    clearInterval(this.#timer);
    this.#closed = true;
    try {
      if (this.#used > 0 && !holdsLock()) this.#divert();
      // Space may have been freed since the failure.
      this.#write();
      this.#used = 0;
      fdatasyncSync(this.#descriptor);
      if (!this.#isInPlace()) throw this.#rescue();
    } catch (error) {
      if (error instanceof UserError) throw error;
      this.#undoPartialWrite();
      throw fileProblem(error, `write ${this.path}`);
    } finally {
      closeSync(this.#descriptor);
    }
  }

  /** Whether the path still leads to the open file; true where that cannot be known. */
  #isInPlace(): boolean {
    if (this.#isDiverted) return true;
    try {
      const own = fstatSync(this.#descriptor);
      const found = statSync(this.path, { throwIfNoEntry: false });
      return found?.ino === own.ino && found.dev === own.dev;
    } catch {
      return true;
    }
  }

  /**
   * Saves what a deleted journal held, which is paid for: an open file can be read until it is closed. A journal that
   * was only moved is safe where it is.
   */
  #rescue(): JournalGone {
    const folder = dirname(this.path);
    if (fstatSync(this.#descriptor).nlink > 0) {
      return new JournalGone(
        `${folder} was moved or replaced while this run used it. Every answer so far is in the moved folder: move it ` +
          `back to ${folder}, then run the command again with --resume.`,
      );
    }
    if (fstatSync(this.#descriptor).size === 0)
      return new JournalGone(
        `${folder} was deleted while this run used it. No answer was lost; start the run again.`,
      );
    makeFolder(folder);
    const isFree = !existsSync(this.path);
    const target = isFree ? this.path : `${folder}.rescued-${process.pid}-${Date.now()}.jsonl`;
    this.#copyTo(target);
    const next = isFree
      ? 'Run the command again with --resume; no answer is paid for twice.'
      : `Another run uses that folder now. To continue, add the file to ${basename(this.path)} in a folder of its own.`;
    return new JournalGone(
      `${folder} was deleted or replaced while this run used it. Every answer so far was saved to ${target}. ${next}`,
    );
  }

  #copyTo(path: string): void {
    const target = openFile(path, 'create');
    try {
      const { size } = fstatSync(this.#descriptor);
      const buffer = Buffer.allocUnsafe(INITIAL_BUFFER_BYTES);
      for (let offset = 0; offset < size;) {
        const part = readAt(this.#descriptor, offset, Math.min(buffer.length, size - offset), buffer);
        if (part.length === 0) break;
        writeAll(target, part);
        offset += part.length;
      }
      fdatasyncSync(target);
    } finally {
      closeSync(target);
    }
  }
}
