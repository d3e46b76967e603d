/**
 * The end of a run: `rows.jsonl` and the journal become `reannotated.json` and `failed_rows.jsonl`. Both modes, online
 * and batch, end here, so the same answers give the same bytes. Memory holds a window of rows.
 */

import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { breathe, readAt, readLines, replaceFile, type BufferedFile, type Line } from '../files.js';
import { dropped } from '../memory.js';
import type { RowState } from '../types.js';
import type { RunFolder } from './folder.js';
import { parseJournalLine, type JournalEntry, type JournalIndex } from './journal.js';
import { isUnusable, type UnusableRow } from './rows.js';

/** Rows whose answers are read together, in the journal's order. */
const WINDOW_ROWS = 256;
/** Answers that lie within this distance are read in one go. */
const READ_BYTES = 1 << 20;

export interface AssembleOptions {
  /** Also write `metadata` to each row. */
  includeMetadata: boolean;
  /** True where a row holds `annotations`, all choices. */
  several: boolean;
  onProgress: (rows: number) => void;
}

export type RowCountsByState = Record<RowState, number> & { total: number };

/** How a row ended. */
interface Outcome {
  state: RowState;
  annotation: string | null;
  annotations: (string | null)[];
  error: string | null;
  metadata: { state: RowState; model: string | null; finish_reason: string | null; usage: unknown };
}

/** What the rows came to. */
export interface Assembled {
  rows: RowCountsByState;
  /** Rows without an annotation. */
  missing: number;
  /** Rows that can't be used and that no further try will change. */
  unusable: number;
  /** The errors that came most often, most frequent first. */
  reasons: { error: string; rows: number }[];
}

/** Writes the results of a run. */
export async function assemble(
  folder: RunFolder,
  index: JournalIndex,
  options: AssembleOptions,
): Promise<Assembled> {
  const rows: RowCountsByState = {
    total: 0,
    ok: 0,
    truncated: 0,
    refused: 0,
    filtered: 0,
    failed: 0,
    pending: 0,
  };
  const result: Assembled = { rows, missing: 0, unusable: 0, reasons: [] };
  const reasons = new Map<string, number>();
  await replaceFile(folder.reannotated, async (reannotated) => {
    await replaceFile(folder.failedRows, async (failedRows) => {
      const journal = existsSync(folder.journal) ? openSync(folder.journal, 'r') : null;
      try {
        reannotated.write('[');
        for (const window of windows(readLines(folder.rows), WINDOW_ROWS)) {
          const entries = readEntries(journal, index, rows.total, window.length);
          for (const [position, bytes] of window.entries()) {
            const outcome = outcomeOf(bytes, entries[position] ?? null);
            writeRow(reannotated, rows.total, bytes, outcome, options);
            tally(result, reasons, outcome, failedRows, isUnusable(bytes));
          }
          options.onProgress(rows.total);
          await breathe();
        }
        reannotated.write('\n]\n');
      } finally {
        if (journal !== null) closeSync(journal);
      }
    });
  });
  if (rows.ok === rows.total) rmSync(folder.failedRows, { force: true });
  result.reasons = [...reasons]
    .map(([error, times]) => ({ error, rows: times }))
    .sort((a, b) => b.rows - a.rows)
    .slice(0, 3);
  return result;
}

function* windows(lines: Iterable<Line>, size: number): Generator<Buffer[]> {
  let window: Buffer[] = [];
  for (const { bytes } of lines) {
    window.push(Buffer.from(bytes));
    if (window.length === size) {
      yield window;
      window = [];
    }
  }
  if (window.length > 0) yield window;
}

/**
 * The journal's entries of some rows that follow each other; null where a row has none or its line is damaged.
 * Answers stand in the order they came, so lines are read in that order and near ones together.
 */
function readEntries(
  journal: number | null,
  index: JournalIndex,
  first: number,
  rows: number,
): (JournalEntry | null)[] {
  const entries = new Array<JournalEntry | null>(rows).fill(null);
  if (journal === null) return entries;
  const places = entries
    .map((_, position) => ({ position, place: index.place(first + position) }))
    .filter(
      (one): one is { position: number; place: { offset: number; length: number } } => one.place !== null,
    )
    .sort((a, b) => a.place.offset - b.place.offset);
  let chunk: Buffer = Buffer.alloc(0);
  let chunkStart = 0;
  for (const { position, place } of places) {
    const end = place.offset + place.length;
    if (place.offset < chunkStart || end > chunkStart + chunk.length) {
      chunk = readAt(journal, place.offset, Math.max(READ_BYTES, place.length));
      chunkStart = place.offset;
    }
    dropped(place.length);
    entries[position] = parseJournalLine(chunk.subarray(place.offset - chunkStart, end - chunkStart));
  }
  return entries;
}

function outcomeOf(line: Buffer, entry: JournalEntry | null): Outcome {
  if (isUnusable(line)) {
    const { problem } = JSON.parse(line.toString('utf8')) as UnusableRow;
    return withoutAnswer('failed', problem);
  }
  if (entry === null) return withoutAnswer('pending', null);
  if (entry.kind === 'failure') return withoutAnswer(entry.state, entry.errors.at(-1) ?? null);
  const { state, annotation, annotations, note, model, finishReason, rawUsage } = entry.completion;
  const metadata = { state, model, finish_reason: finishReason, usage: rawUsage };
  return { state, annotation, annotations, error: note, metadata };
}

function withoutAnswer(state: RowState, error: string | null): Outcome {
  const metadata = { state, model: null, finish_reason: null, usage: null };
  return { state, annotation: null, annotations: [], error, metadata };
}

/** The row's line ends in `}`: what is added goes before it, and the prompt's bytes are copied as they are. */
function writeRow(
  file: BufferedFile,
  number: number,
  line: Buffer,
  outcome: Outcome,
  options: AssembleOptions,
): void {
  file.write(number === 0 ? '\n' : ',\n');
  if (isUnusable(line)) {
    const { row } = JSON.parse(line.toString('utf8')) as UnusableRow;
    file.write(JSON.stringify(row).slice(0, -1));
  } else {
    file.write(line.subarray(0, line.length - 1));
  }
  file.write(`,"annotation":${JSON.stringify(outcome.annotation)}`);
  if (options.several) file.write(`,"annotations":${JSON.stringify(outcome.annotations)}`);
  if (options.includeMetadata) file.write(`,"metadata":${JSON.stringify(outcome.metadata)}`);
  file.write('}');
}

function tally(
  result: Assembled,
  reasons: Map<string, number>,
  outcome: Outcome,
  failedRows: BufferedFile,
  isUnusableRow: boolean,
): void {
  const request = result.rows.total;
  result.rows[outcome.state] += 1;
  result.rows.total += 1;
  if (outcome.annotation === null) result.missing += 1;
  if (isUnusableRow) result.unusable += 1;
  if (outcome.state === 'ok') return;
  failedRows.write(
    `${JSON.stringify({ request_idx: request, state: outcome.state, error: outcome.error })}\n`,
  );
  if (outcome.annotation !== null || outcome.error === null) return;
  // Messages that differ in a number alone are one reason; a handful is enough to tell the user.
  const reason = outcome.error.replace(/\d+/g, 'N').slice(0, 200);
  if (reasons.has(reason) || reasons.size < 1000) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
}
