/**
 * The end of a run: `rows.jsonl` and the journal become `reannotated.json` and `failed_rows.jsonl`. Both modes, online
 * and batch, end here, so the same answers give the same bytes. Memory holds a window of rows.
 */

import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { breathe, readAt, readLines, replaceFile, type BufferedFile, type Line } from '../files.js';
import { dropped } from '../memory.js';
import type { RowState } from '../types.js';
import type { RunFolder } from './folder.js';
import type { JournalIndex } from './journal.js';
import { cutText, glance, parseJournalLine } from './journal-line.js';
import { isUnusable, type UnusableRow } from './rows.js';

/** Rows whose answers are read together, in the journal's order. */
const WINDOW_ROWS = 1024;
/** Answers are read in one go as long as what lies between two of them is less than this, */
const GAP_BYTES = 1 << 14;
/** and all of them are no more than this. */
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
  /** As JSON: cut out of the journal where it stands there as it would be written here. */
  annotation: Buffer | string | null;
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
  /** Where lines stand in the journal that can't be read after all. */
  damaged: number[];
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
  const result: Assembled = { rows, missing: 0, unusable: 0, reasons: [], damaged: [] };
  const reasons = new Map<string, number>();
  await replaceFile(folder.reannotated, async (reannotated) => {
    await replaceFile(folder.failedRows, async (failedRows) => {
      const journal = existsSync(folder.journal) ? openSync(folder.journal, 'r') : null;
      try {
        reannotated.write('[');
        for (const window of windows(readLines(folder.rows), WINDOW_ROWS)) {
          const answers = readAnswers(journal, index, rows.total, window.length, options, result.damaged);
          for (const [position, bytes] of window.entries()) {
            const outcome = outcomeOf(bytes, answers[position] ?? null);
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

/** What is read of the journal; nothing that an answer keeps lies in it. */
const reading = Buffer.allocUnsafe(READ_BYTES);

interface Place {
  position: number;
  offset: number;
  length: number;
}

/**
 * How some rows that follow each other were answered; null where a row has no line or its line is damaged. Answers
 * stand in the order they came, so lines are read in that order and near ones together.
 */
function readAnswers(
  journal: number | null,
  index: JournalIndex,
  first: number,
  rows: number,
  options: AssembleOptions,
  damaged: number[],
): (Outcome | null)[] {
  const answers = new Array<Outcome | null>(rows).fill(null);
  if (journal === null) return answers;
  const places: Place[] = [];
  for (let position = 0; position < rows; position++) {
    const place = index.place(first + position);
    if (place !== null) places.push({ position, ...place });
  }
  places.sort((a, b) => a.offset - b.offset);
  for (const group of nearOnes(places)) {
    const [start, end] = [group[0]?.offset ?? 0, endOf(group.at(-1))];
    const bytes = readAt(journal, start, end - start, end - start <= READ_BYTES ? reading : undefined);
    for (const { position, offset, length } of group) {
      const line = bytes.subarray(offset - start, offset - start + length);
      const answer = readAnswer(line, index.state(first + position), options);
      if (answer === null) damaged.push(offset);
      answers[position] = answer;
    }
  }
  return answers;
}

/** Groups of places that are read in one go. */
function nearOnes(places: readonly Place[]): Place[][] {
  const groups: Place[][] = [];
  for (const place of places) {
    const group = groups.at(-1);
    const isNear = place.offset - endOf(group?.at(-1)) < GAP_BYTES;
    const isSmall = endOf(place) - (group?.[0]?.offset ?? 0) < READ_BYTES;
    if (group !== undefined && isNear && isSmall) group.push(place);
    else groups.push([place]);
  }
  return groups;
}

function endOf(place: Place | undefined): number {
  return place === undefined ? 0 : place.offset + place.length;
}

function readAnswer(line: Buffer, state: RowState, options: AssembleOptions): Outcome | null {
  if (state === 'ok' && !options.several && !options.includeMetadata) {
    const seen = glance(line);
    const text = seen === null ? null : cutText(line, seen.textStart);
    // A copy, so that what was read around it can go.
    if (text !== null) return { ...withoutAnswer('ok', null), annotation: Buffer.from(text) };
  }
  const entry = parseJournalLine(line);
  dropped(line.length);
  if (entry === null) return null;
  if (entry.kind === 'failure') return withoutAnswer(entry.state, entry.errors.at(-1) ?? null);
  const { annotation, annotations, note, model, finishReason, rawUsage } = entry.completion;
  const metadata = { state: entry.completion.state, model, finish_reason: finishReason, usage: rawUsage };
  return {
    state: entry.completion.state,
    annotation: annotation === null ? null : JSON.stringify(annotation),
    annotations,
    error: note,
    metadata,
  };
}

function outcomeOf(line: Buffer, answer: Outcome | null): Outcome {
  if (!isUnusable(line)) return answer ?? withoutAnswer('pending', null);
  const { problem } = JSON.parse(line.toString('utf8')) as UnusableRow;
  return withoutAnswer('failed', problem);
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
  file.write(',"annotation":');
  file.write(outcome.annotation ?? 'null');
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
