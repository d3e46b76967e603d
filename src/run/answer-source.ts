/** An earlier run, as a source of answers: its jobs say what was asked, and its journal holds what was answered. */

import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../lib/errors.js';
import { lastLine } from '../lib/files.js';
import { isObject } from '../lib/json.js';
import { sanitize } from '../lib/text.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { AnswerWindow } from './answer-window.js';
import { readConfig } from './config.js';
import { readJob, readJobs } from './jobs.js';
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
  journal: string;
}

/** How its lines are to be read. */
export interface Reading {
  /** Choices that each row has. */
  choices: number;
  rules: AnswerRules;
  /** Answers that a row got with up to this many times its `max_tokens` count as well; 1 for none. */
  escalation: number;
  /** Another annotator whose answers count as well; null for none. */
  fallback: string | null;
}

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
 * Finds a run by the folder of its working files or that of its results.
 * @param tempDir where the working files of a run are whose results do not say it
 * @throws UserError where no answers are there
 */
export async function findAnswerSource(path: string, tempDir: string): Promise<AnswerSource> {
  const given = resolve(path);
  const name = basename(given);
  const { params } = await readConfig(join(given, 'config.yaml'), new Date());
  const recorded = params?.['temp_dir'];
  const folders = [
    given,
    ...(typeof recorded === 'string' ? [join(recorded, name)] : []),
    join(tempDir, name),
  ];
  for (const folder of folders) {
    const source = { name, jobs: join(folder, 'jobs.json'), journal: join(folder, 'output.jsonl') };
    if (existsSync(source.jobs) && existsSync(source.journal)) return source;
  }
  throw new UserError(
    `--reuse ${sanitize(path, 200)} has no answers of a run (jobs.json and output.jsonl). Name the folder of a run’s ` +
      'working files, such as datasets/temp/NAME, or that of its results.',
  );
}

/**
 * The whole answers of a run, in the order of its rows; nothing of it is changed, and another process may still append
 * to it. Memory holds 13 bytes a row, and as many for each part of one. To be read to its end, or left by `return`.
 */
export async function answersOf(source: AnswerSource, reading: Reading): Promise<Generator<FoundAnswer>> {
  const index = await indexOf(source, reading);
  return index.parts === null
    ? answersInRows(source, index, reading)
    : answersInParts(source, index, reading);
}

function* answersInRows(source: AnswerSource, index: JournalIndex, reading: Reading): Generator<FoundAnswer> {
  const window = new AnswerWindow(segmentsOf(source), index);
  const scanner = new LineScanner();
  let first = 0;
  let rows = 0;
  try {
    for (const { requestIdx: row, body } of readJobs(source.jobs)) {
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
  index: JournalIndex,
  reading: Reading,
): Generator<FoundAnswer> {
  const reader = new LineReader(segmentsOf(source));
  const scanner = new LineScanner();
  try {
    for (const { requestIdx: row, body } of readJobs(source.jobs)) {
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
  for (const { requestIdx: row, body } of readJobs(source.jobs))
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

/** Read as a segment, so that nothing is repaired: the run may be another process's. Places count from 0 as usual. */
function segmentsOf({ journal }: AnswerSource): JournalSegment[] {
  return [{ number: 0, path: journal }];
}

/** Jobs are in the order of their rows. */
function rowsOf({ jobs }: AnswerSource): number {
  return (readJob(lastLine(jobs))?.requestIdx ?? -1) + 1;
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
