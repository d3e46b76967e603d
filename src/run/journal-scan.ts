/** Reads an existing journal back into an index. */

import { closeSync, existsSync } from 'node:fs';
import { cooperativePause, endOfLine, openFile, readAt, readBlocks } from '../lib/files.js';
import { noteDiscarded } from '../lib/memory.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { STANDARD_RULES } from '../models/finish-reason.js';
import type { AnswerFigures } from '../models/usage.js';
import type { JobPart } from '../requests/processor.js';
import { SEGMENT_SPAN, type JournalIndex, type JournalSource, type LinePlace } from './journal-index.js';
import { parseJournalLine } from './journal-line.js';
import { readDamaged, repairEnd, takeInRescued } from './journal-repair.js';
import { LineScanner, type PeekedLine } from './line-scanner.js';
import { annotatorOf, isPaid, type Origin } from './origin.js';
import { PartialLines, type PartialRows } from './partial-lines.js';
import type { PartLine } from './parts.js';

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
    report.tornBytes = repairEnd(source);
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
