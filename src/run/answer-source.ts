/** An earlier run, as a source of answers: its jobs say what was asked, and its journal holds what was answered. */

import { lastLine, readLines } from '../lib/files.js';
import { isObject } from '../lib/json.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { AnswerWindow } from './answer-window.js';
import { readJob, type JobLine } from './jobs.js';
import { scanJournal, type JournalIndex, type JournalSegment } from './journal.js';
import { LineScanner } from './line-scanner.js';
import { LineReader } from './line-reader.js';
import { choiceLayout, indexOfRows } from './parts.js';
import type { JobPart } from '../requests/processor.js';

/** Rows whose lines are read together. */
const WINDOW_ROWS = 4096;
const COMMA = 0x2c;

export interface AnswerSource {
  /** The run's name, which rows carry as their answers' origin. */
  name: string;
  jobs: string;
  journal: string | readonly JournalSegment[];
}

/** How its lines are read. */
export interface Reading {
  /** Choices that each row has. */
  choices: number;
  rules: AnswerRules;
  /** Answers that a row got with up to this many times its `max_tokens` count as well; 1 for none. */
  escalation: number;
  /** Another annotator whose answers count as well; null for none. */
  fallback: string | null;
}

/** Called for each line of `jobs.json` that cannot be read. */
export type OnDamaged = () => void;

/** A whole answer, with the request that it answers. */
export interface FoundAnswer {
  /** The request as the run's `jobs.json` has it. */
  body: Buffer;
  /** Its lines of the journal: one, unless the row took several requests. */
  lines: readonly FoundLine[];
}

/** A line of another run's journal. */
export interface FoundLine {
  /** What holds it; valid until the next answer is taken. */
  bytes: Buffer;
  start: number;
  end: number;
  part: JobPart | null;
  /** The annotator that answered; null for the run's own. */
  annotator: string | null;
}

/**
 * The whole answers of a run, in the order of its rows; nothing of it is changed, and another process may still append
 * to it. Memory holds 13 bytes a row, and as many for each part of one. To be read to its end, or left by `return`.
 */
export async function answersOf(
  source: AnswerSource,
  reading: Reading,
  onDamaged: OnDamaged = () => undefined,
): Promise<Generator<FoundAnswer>> {
  const index = await indexOf(source, reading);
  const jobs = jobsOf(source, onDamaged);
  return index.parts === null
    ? answersInRows(source, jobs, index, reading)
    : answersInParts(source, jobs, index, reading);
}

function* answersInRows(
  source: AnswerSource,
  jobs: Iterable<JobLine>,
  index: JournalIndex,
  reading: Reading,
): Generator<FoundAnswer> {
  const window = new AnswerWindow(segmentsOf(source), index);
  const scanner = new LineScanner();
  let first = 0;
  let rows = 0;
  try {
    for (const { requestIdx: row, body } of jobs) {
      if (!isUsable(row, index, reading)) continue;
      if (row < first || row >= first + rows) {
        first = row;
        rows = window.rowsThatFit(row, Math.min(WINDOW_ROWS, index.rows - row));
        window.read(row, rows);
      }
      const start = window.start(row - first);
      const line = {
        bytes: window.bytes,
        start,
        end: window.end(row - first),
        part: null,
        annotator: index.origins.answeredBy(row),
      };
      if (start !== -1 && isAnswerTo(body, line, scanner)) yield { body, lines: [line] };
    }
  } finally {
    window.close();
  }
}

/** The same for rows that took several requests, line by line. */
function* answersInParts(
  source: AnswerSource,
  jobs: Iterable<JobLine>,
  index: JournalIndex,
  reading: Reading,
): Generator<FoundAnswer> {
  const reader = new LineReader(segmentsOf(source));
  const scanner = new LineScanner();
  try {
    for (const { requestIdx: row, body } of jobs) {
      if (!isUsable(row, index, reading)) continue;
      const lines = index.placesOf(row).map(({ place, part, annotator }) => {
        const bytes = reader.read(place);
        return { bytes, start: 0, end: bytes.length, part, annotator };
      });
      if (lines.every((line) => isAnswerTo(body, line, scanner))) yield { body, lines };
    }
  } finally {
    reader.close();
  }
}

/** The requests that have a whole answer, without reading the answers. */
export async function* answeredRequests(source: AnswerSource, reading: Reading): AsyncGenerator<Buffer> {
  const index = await indexOf(source, reading);
  for (const { requestIdx: row, body } of jobsOf(source, () => undefined))
    if (isUsable(row, index, reading)) yield body;
}

function isUsable(row: number, index: JournalIndex, { escalation, fallback }: Reading): boolean {
  if (index.state(row) !== 'ok' || index.origins.escalationOf(row) > escalation) return false;
  const annotator = index.origins.answeredBy(row);
  return annotator === null || annotator === fallback;
}

async function indexOf(source: AnswerSource, { choices, rules }: Reading): Promise<JournalIndex> {
  const rows = rowsOf(source);
  const index = indexOfRows(rows, choices > 1 ? choiceLayout(rows, choices) : null);
  await scanJournal(segmentsOf(source), index, { rules });
  return index;
}

/** Read as segments, so that nothing is repaired: the run may be another process's. Places count from 0 as usual. */
function segmentsOf({ journal }: AnswerSource): readonly JournalSegment[] {
  return typeof journal === 'string' ? [{ number: 0, path: journal }] : journal;
}

/** Jobs are in the order of their rows; the end of the file may be torn. */
function rowsOf(source: AnswerSource): number {
  const last = readJob(lastLine(source.jobs));
  if (last !== null) return last.requestIdx + 1;
  let rows = 0;
  for (const { requestIdx } of jobsOf(source, () => undefined)) rows = Math.max(rows, requestIdx + 1);
  return rows;
}

/** The requests of a run without the lines that cannot be read: whose answers are not known, and are sent again. */
function* jobsOf({ jobs }: AnswerSource, onDamaged: OnDamaged): Generator<JobLine> {
  for (const { bytes } of readLines(jobs)) {
    const job = bytes.length === 0 ? null : readJob(bytes);
    if (job !== null) yield job;
    else if (bytes.length > 0) onDamaged();
  }
}

/**
 * Whether a line answers the request that its row number leads to: a flipped bit in the number would give a row
 * another's answer. Where the API refused parameters, the request as it was sent lacks them.
 */
function isAnswerTo(
  body: Buffer,
  { bytes, start, end, annotator }: FoundLine,
  scanner: LineScanner,
): boolean {
  const sent = start + 1;
  const after = sent + body.length;
  if (scanner.endOfContent(bytes, start, end) === -1) return false;
  if (after < end && bytes[after] === COMMA && bytes.compare(body, 0, body.length, sent, after) === 0)
    return true;
  const line = parsed(bytes.toString('utf8', start, end));
  const job = parsed(body.toString('utf8'));
  const request = Array.isArray(line) ? (line[0] as unknown) : null;
  const { messages, model } = asked(request);
  const wanted = asked(job);
  // Another annotator was sent the same messages.
  return (
    messages !== undefined && messages === wanted.messages && (annotator !== null || model === wanted.model)
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** What a request asks, apart from its parameters. */
function asked(request: unknown): { model?: unknown; messages?: string | undefined } {
  if (!isObject(request)) return {};
  return { model: request['model'], messages: JSON.stringify(request['messages']) };
}
