/**
 * Answers that are not paid for: those that earlier runs have for the same request (`--reuse`), and those that one row
 * got for the request of others (`--dedupe`). Each goes into this run's journal as a line of its own row.
 */

import { cooperativePause } from '../lib/files.js';
import type { AnswerFigures } from '../models/usage.js';
import type { JobPart } from '../requests/processor.js';
import type { RetriableState } from '../types.js';
import {
  answersOf,
  type AnswerSource,
  type FoundAnswer,
  type OnDamaged,
  type Reading,
} from './answer-source.js';
import type { RunFolder } from './folder.js';
import { JournalWriter, type FoundPlace, type JournalIndex } from './journal.js';
import { parseJournalLine } from './journal-line.js';
import { LineScanner } from './line-scanner.js';
import { LineReader } from './line-reader.js';
import type { Copy } from './origin.js';
import type { RequestTable } from './request-table.js';

/** What a copied line adds to a run's figures; null for a failure, which has none. */
export type OnCopy = (answer: AnswerFigures | null, origin: Copy, part: JobPart | null) => void;

/** The run that answers are copied into. */
export interface CopyTarget {
  folder: Pick<RunFolder, 'journal' | 'segments'>;
  table: RequestTable;
  index: JournalIndex;
  /** States whose rows are to get another answer. */
  retry: readonly RetriableState[];
  reading: Reading;
  onCopy: OnCopy;
}

/**
 * Takes over the answers that an earlier run has for requests of this one. Where several rows have the same request,
 * each gets an answer of its own as long as there are some, and the rest share the first: asking for it again is what
 * `--reuse` is to avoid.
 * @returns how many rows got an answer
 * @throws UserError where the journal can't be written
 */
export async function reuseAnswers(
  source: AnswerSource,
  target: CopyTarget,
  onDamaged?: OnDamaged,
): Promise<number> {
  const { table, index, retry } = target;
  const origin: Copy = { kind: 'reused', run: source.name };
  const copies = new CopyWriter(target);
  const donors = table.duplicates === 0 ? null : new Donors(table.rows);
  const pause = cooperativePause();
  try {
    for (const found of await answersOf(source, target.reading, onDamaged)) {
      const first = table.find(found.body);
      if (first === null) continue;
      const next = donors?.nextOf(first);
      let row = next === undefined ? first : next;
      while (row !== null && !index.isWanted(row, retry)) row = table.nextOf(row);
      if (row !== null) copies.addFound(found, row, origin);
      donors?.took(first, row, row === null ? null : table.nextOf(row));
      const turn = pause();
      // A promise for each of a million rows would cost more than what is done for it.
      if (turn !== undefined) await turn;
    }
    if (donors !== null) {
      copies.flush();
      for (let row = 0; row < table.rows; row++) {
        const donor = donors.of(table.firstOf(row));
        if (donor !== null && index.isWanted(row, retry)) copies.addOwn(donor, row, origin);
        await pause();
      }
    }
    return copies.rows;
  } finally {
    copies.close();
  }
}

/** Of rows with the same request, by the first of them: who has an answer, and who is to get the next one. */
class Donors {
  static readonly #end = 0xffff_ffff;
  readonly #donors: Uint32Array;
  readonly #next: Uint32Array;

  constructor(rows: number) {
    this.#donors = new Uint32Array(rows);
    this.#next = new Uint32Array(rows);
  }

  /** Undefined where none was taken yet; null where all have one. */
  nextOf(first: number): number | null | undefined {
    const next = this.#next[first] ?? 0;
    return next === 0 ? undefined : next === Donors.#end ? null : next - 1;
  }

  took(first: number, row: number | null, next: number | null): void {
    if (row !== null && this.#donors[first] === 0) this.#donors[first] = row + 1;
    this.#next[first] = next === null ? Donors.#end : next + 1;
  }

  of(first: number | null): number | null {
    const donor = first === null ? 0 : (this.#donors[first] ?? 0);
    return donor === 0 ? null : donor - 1;
  }
}

/**
 * Rows that need not be sent, since another row that is sent has the same request.
 * @returns 1 for each of them
 */
export function spareRows(
  table: RequestTable,
  index: JournalIndex,
  retry: readonly RetriableState[],
): Uint8Array {
  const rows = new Uint8Array(table.rows);
  const isSent = new Uint8Array(table.rows);
  for (let row = 0; row < table.rows; row++) {
    const first = table.firstOf(row);
    if (first === null) continue;
    // A batch that is in progress may answer it, and so the others.
    const isInBatch = index.isHeld(row) && !index.isAnswered(row);
    if (!isInBatch && !index.isWanted(row, retry)) continue;
    if (!isInBatch && isSent[first] === 1) rows[row] = 1;
    isSent[first] = 1;
  }
  return rows;
}

/**
 * Gives the answer of a row, or its failure, to all rows that have the same request and nothing better.
 * @returns how many rows got one
 * @throws UserError where the journal can't be written
 */
export async function fanOut(target: CopyTarget): Promise<number> {
  const { table, index } = target;
  if (table.duplicates === 0) return 0;
  const best = bestRows(table, index);
  const pause = cooperativePause();
  let copies: CopyWriter | null = null;
  try {
    for (let row = 0; row < table.rows; row++) {
      const donor = (best[table.firstOf(row) ?? row] ?? 0) - 1;
      if (donor === -1 || donor === row || index.isHeld(row) || !isServedBy(row, donor, index)) continue;
      copies ??= new CopyWriter(target);
      copies.addOwn(donor, row, { kind: 'duplicate', row: donor });
      await pause();
    }
    return copies?.rows ?? 0;
  } finally {
    copies?.close();
  }
}

/** Of rows with the same request, by the first of them, the one with the best answer, counted from 1; 0 for none. */
function bestRows(table: RequestTable, index: JournalIndex): Uint32Array {
  const best = new Uint32Array(table.rows);
  for (let row = 0; row < table.rows; row++) {
    const first = table.firstOf(row);
    if (first === null || index.place(row) === null) continue;
    const known = (best[first] ?? 0) - 1;
    if (known === -1 || (index.isAnswered(row) && index.isImprovedBy(known, index.state(row))))
      best[first] = row + 1;
  }
  return best;
}

function isServedBy(row: number, donor: number, index: JournalIndex): boolean {
  if (index.state(row) === 'pending') return true;
  return index.isAnswered(donor) && index.isImprovedBy(row, index.state(donor));
}

/** Appends lines that exist already, and enters them into the index. */
class CopyWriter {
  readonly #scanner = new LineScanner();
  readonly #writer: JournalWriter;
  readonly #reader: LineReader;
  #failure: Error | null = null;
  #rows = 0;

  constructor(private readonly target: CopyTarget) {
    const { folder } = target;
    const onFailure = (error: Error): void => {
      this.#failure = error;
    };
    this.#writer = new JournalWriter(folder.journal, onFailure, folder.segments?.at(-1)?.number);
    this.#reader = new LineReader(folder.segments ?? folder.journal);
  }

  get rows(): number {
    return this.#rows;
  }

  /** Gives a row the answer of another run. */
  addFound({ lines }: FoundAnswer, row: number, origin: Copy): void {
    const copied = lines.map(({ bytes, start, end, part, annotator }) =>
      this.#add(bytes.subarray(start, end), row, origin, { part, state: 'ok', isError: false, annotator }),
    );
    if (copied.includes(true)) this.#rows += 1;
  }

  /** Gives a row what another row of this run has; lines that are not flushed are not seen. */
  addOwn(donor: number, row: number, origin: Copy): void {
    const copied = this.target.index
      .placesOf(donor)
      .map(({ place, ...copy }) => this.#add(this.#reader.read(place), row, origin, copy));
    if (copied.includes(true)) this.#rows += 1;
  }

  /** @returns whether the row uses the line */
  #add(
    line: Buffer,
    row: number,
    copy: Copy,
    { part, state, isError, annotator }: Omit<FoundPlace, 'place'>,
  ): boolean {
    const origin = annotator === null ? copy : { ...copy, annotator };
    const contentEnd = this.#scanner.endOfContent(line, 0, line.length);
    if (contentEnd === -1) return false;
    const { index, onCopy, reading } = this.target;
    const place = this.#writer.appendCopy(line.subarray(1, contentEnd), {
      row,
      part: part ?? undefined,
      origin,
    });
    if (this.#failure !== null) throw this.#failure;
    const choices = part === null ? reading.choices : 1;
    if (!index.recordLine({ row, part, choices }, state, place, { isError, origin })) return false;
    onCopy(isError ? null : this.#figuresOf(line), origin, part);
    return true;
  }

  #figuresOf(line: Buffer): AnswerFigures | null {
    const { choices, rules } = this.target.reading;
    const seen = choices > 1 ? null : this.#scanner.peek(line, 0, line.length);
    if (seen !== null) return seen;
    const entry = parseJournalLine(line, rules);
    return entry?.kind === 'answer' ? entry.figures() : null;
  }

  flush(): void {
    this.#writer.flush();
    if (this.#failure !== null) throw this.#failure;
  }

  close(): void {
    this.#reader.close();
    this.#writer.close();
  }
}
