/**
 * Rows of a run in progress that have one journal: reads what was appended to it since the last look, and reports the rows
 * that changed. Nothing is written, and another process may append to the files. Memory holds some 25 bytes per row.
 */

import { closeSync, existsSync, fstatSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import type { ResultRow } from '../exports/rows.js';
import { cooperativePause, endOfLine, openFile, readAt } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import type { AnswerRules } from '../models/answer-rules.js';
import type { Completion } from '../models/completion.js';
import { finalAnswersAgree } from '../models/final-answer.js';
import { DEFAULT_SELECTION, selectAnswer, SELECTIONS } from '../models/select-answer.js';
import { readUsage, type AnswerFigures } from '../models/usage.js';
import { JournalIndex, SEGMENT_SPAN, type JournalSegment } from '../run/journal.js';
import { parseJournalLine, type JournalEntry } from '../run/journal-line.js';
import { latenciesIn, parseTime, RequestTimes, type RequestSlots } from '../run/latencies.js';
import { LineReader } from '../run/line-reader.js';
import type { Origin } from '../run/origin.js';
import { choiceLayout, RowParts, turnLayout, type PartLayout } from '../run/parts.js';
import { readRowAnswer, type RowAnswer } from '../run/row-answers.js';
import { countTurns } from '../run/turns.js';
import type { ChatMessage } from '../types.js';
import {
  costOfAnswer,
  costWhen,
  figuresOf,
  hasHourlyPrice,
  journalFiles,
  type JournalPart,
  type Pricing,
} from './answer-figures.js';
import type { RowFacts } from './shown-row.js';

const BLOCK_BYTES = 1 << 20;
const NEWLINE = 0x0a;
const PROBLEM = Buffer.from('{"problem":');

/** How to read the answers of a run. */
export interface Reading {
  /** The run's parameters, as its record has them. */
  params: Readonly<Record<string, unknown>>;
  rules: AnswerRules;
  pricing: Pricing;
  shownError: (error: string) => string;
}

/** Who learns of rows. Numbers count from the run's first row. */
export interface RowChanges {
  add: (row: number, facts: RowFacts) => void;
  /** The row has changed: these facts no longer hold. */
  remove: (row: number, facts: RowFacts) => void;
  /** An answer was paid for, whether a row uses it or not. */
  spend: (figures: AnswerFigures, origin: Origin | null) => void;
}

/** The files were replaced since they were read: everything has to be counted again. */
export class FilesReplaced extends Error {}

/** The lines of a part's `rows.jsonl`. */
interface RowLines {
  /** Where each row's line ends. */
  ends: Float64Array;
  /** Distinguishes the file from another one: a larger `--limit` replaces it. */
  mark: string;
}

export class LivePart {
  readonly index: JournalIndex;
  readonly #parts: RowParts | null;
  /** Bytes of each file of the journal that were read. */
  readonly #read = new Map<string, number>();
  readonly #segments: JournalSegment[] = [];
  readonly #reader = new LineReader(this.#segments);
  readonly #times: RequestTimes;
  #timesRead = 0;

  private constructor(
    private readonly part: JournalPart,
    private readonly lines: RowLines,
    layout: PartLayout | null,
    private readonly reading: Reading,
  ) {
    this.index = new JournalIndex(lines.ends.length);
    this.#times = timesOf(lines.ends.length, layout, hasHourlyPrice(reading.pricing));
    this.#parts = layout === null ? null : new RowParts(layout, this.index);
    this.index.parts = this.#parts;
  }

  /** Finds the rows of a part; null where they are not there yet. */
  static async open(part: JournalPart, reading: Reading, changes: RowChanges): Promise<LivePart | null> {
    const mark = markOf(part.rowsPath);
    if (mark === null) return null;
    const ends: number[] = [];
    const turns: number[] = [];
    const unusable: [row: number, line: Buffer][] = [];
    const hasTurns = reading.params['turns'] === 'all';
    let end = 0;
    await eachLine(part.rowsPath, 0, (line) => {
      end += line.length + 1;
      const isUnusable = line.subarray(0, PROBLEM.length).equals(PROBLEM);
      if (isUnusable) unusable.push([ends.length, Buffer.from(line)]);
      if (hasTurns) turns.push(isUnusable ? 1 : turnsIn(line));
      ends.push(end);
    });
    const layout = layoutOf(reading.params, ends.length, turns);
    const open = new LivePart(part, { ends: Float64Array.from(ends), mark }, layout, reading);
    for (const [row, line] of unusable) open.#addUnusable(row, line, changes);
    return open;
  }

  /**
   * Reads what the journal has beyond what was read.
   * @returns true where there was anything
   * @throws FilesReplaced
   */
  async update(changes: RowChanges): Promise<boolean> {
    if (markOf(this.part.rowsPath) !== this.lines.mark) throw new FilesReplaced();
    let isChanged = false;
    for (const path of journalFiles(this.part)) if (await this.#readNew(path, changes)) isChanged = true;
    if (isChanged) await this.#readTimes();
    return isChanged;
  }

  /** How many milliseconds the answers to a row took; null where that was not recorded, or not yet. */
  latencyOf(row: number): number | null {
    return this.#times.latencyOf(row);
  }

  /** US dollars that the answers to a row cost at the hours when they were requested; null where that is not known. */
  costOf(row: number): number | null {
    const { rules, pricing } = this.reading;
    let sum = 0;
    for (const { place } of this.index.placesOf(row)) {
      const entry = parseJournalLine(this.#reader.read(place), rules);
      if (entry?.row !== row) throw new FilesReplaced();
      if (entry.kind !== 'answer') continue;
      const { origin, part } = entry;
      const cost = costWhen(entry.figures(), origin, pricing, this.#times.timeOf(row, part));
      if (cost === null) return null;
      sum += cost;
    }
    return sum;
  }

  async #readTimes(): Promise<void> {
    const path = latenciesIn(this.part.folder);
    if (!existsSync(path)) return;
    this.#timesRead = await eachLine(path, this.#timesRead, (line) => {
      const found = parseTime(line);
      if (found !== null) this.#times.note(found);
    });
  }

  close(): void {
    this.#reader.close();
  }

  async #readNew(path: string, changes: RowChanges): Promise<boolean> {
    const from = this.#read.get(path) ?? 0;
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size < from) throw new FilesReplaced();
    if (size === from) return false;
    const number = Number(/^output\.(\d+)\.jsonl$/.exec(basename(path))?.[1] ?? 0);
    if (!this.#segments.some((one) => one.number === number)) this.#segments.push({ number, path });
    const read = await eachLine(path, from, (bytes, offset) => {
      this.#addLine(bytes, number * SEGMENT_SPAN + offset, changes);
    });
    this.#read.set(path, read);
    return read > from;
  }

  #addLine(bytes: Buffer, offset: number, changes: RowChanges): void {
    const entry = parseJournalLine(bytes, this.reading.rules);
    if (entry === null || entry.row >= this.index.rows) return;
    if (entry.kind === 'partial' || entry.kind === 'unfit') {
      changes.spend(entry.figures, entry.origin);
      return;
    }
    const { row, part, origin } = entry;
    const isFailure = entry.kind === 'failure';
    if (!isFailure) changes.spend(entry.figures(), origin);
    const state = isFailure ? entry.state : entry.completion.state;
    const choices = isFailure ? 1 : entry.completion.annotations.length;
    const line = { row, part, choices };
    // What is there is read before it is replaced.
    const before = this.index.isLineImprovedBy(line, state) || isFailure ? this.#factsOf(row) : null;
    if (!this.index.recordLine(line, state, { offset, length: bytes.length }, { isError: isFailure, origin }))
      return;
    const number = this.part.start + row;
    if (before !== null) changes.remove(number, before);
    const now = this.#parts === null ? this.#factsOfEntry(entry) : this.#factsOf(row);
    if (now !== null) changes.add(number, now);
  }

  /** What a row came to by the lines that the index has; null for a pending one. */
  #factsOf(row: number): RowFacts | null {
    if (this.index.state(row) === 'pending') return null;
    const rowLine = this.#rowLine(row);
    if (this.#parts !== null) {
      const { rules } = this.reading;
      const lines = { index: this.index, parts: this.#parts, reader: this.#reader, rules };
      return this.#factsOfAnswer(readRowAnswer(lines, row, rowLine), rowLine);
    }
    const place = this.index.place(row);
    if (place === null) return null;
    const entry = parseJournalLine(this.#reader.read(place), this.reading.rules);
    if (entry?.row !== row) throw new FilesReplaced();
    return this.#factsOfEntry(entry);
  }

  #factsOfEntry(entry: JournalEntry): RowFacts | null {
    const rowLine = this.#rowLine(entry.row);
    if (entry.kind === 'failure') {
      const answer = { kind: 'none', state: entry.state, error: entry.errors.at(-1) ?? null } as const;
      return this.#factsOfAnswer({ ...answer, completion: null }, rowLine);
    }
    if (entry.kind !== 'answer') return null;
    const { completion, origin } = entry;
    return this.#factsOfAnswer(
      { kind: 'answer', completion, origin, messages: null },
      rowLine,
      entry.figures(),
    );
  }

  /** @param figures what the answer used; what it reports where that is not known */
  #factsOfAnswer(answer: RowAnswer, rowLine: Buffer, figures?: AnswerFigures): RowFacts | null {
    const { shownError, pricing } = this.reading;
    const row = resultRow(rowLine);
    if (answer.kind === 'damaged') return null;
    if (answer.kind === 'none') {
      const error = answer.error === null ? null : shownError(answer.error);
      return { row, state: answer.state, error, figures: null };
    }
    const { completion, origin, messages } = answer;
    const usage = figures?.usage ?? readUsage(completion.rawUsage);
    const used = usage === null ? null : { usage, tier: completion.tier };
    return {
      row: this.#answeredRow(row, completion, messages),
      state: completion.state,
      error: completion.note,
      figures: used === null ? null : figuresOf(completion, used, costOfAnswer(used, origin, pricing)),
    };
  }

  #answeredRow(row: ResultRow, completion: Completion, messages: ChatMessage[] | null): ResultRow {
    const { annotations, annotation, reasonings, toolCalls } = completion;
    const { params } = this.reading;
    const by = SELECTIONS.find((one) => one === params['select']) ?? DEFAULT_SELECTION;
    const choice = annotation === null || annotations.length < 2 ? 0 : selectAnswer(annotations, by).choice;
    const calls = toolCalls[choice] ?? null;
    const chosen = annotation === null ? null : (annotations[choice] ?? annotation);
    const agrees = chosen === null ? null : finalAnswersAgree(row.annotation_original, chosen);
    return {
      ...row,
      ...(messages === null ? {} : { request_messages: messages }),
      annotation: chosen,
      reasoning: reasonings[choice] ?? null,
      annotation_tool_calls: calls === null ? null : [...calls],
      ...(annotations.length > 1 ? { annotations } : {}),
      ...(params['check'] === 'answer' ? { agrees } : {}),
    };
  }

  #addUnusable(row: number, line: Buffer, { add }: RowChanges): void {
    const value = parseJson(line.toString('utf8'));
    if (!isObject(value)) return;
    const { problem, row: own } = value;
    this.index.record(row, 'failed', 0, 0, true);
    const facts = {
      row: { ...(own as ResultRow), annotation: null },
      state: 'failed' as const,
      figures: null,
    };
    add(this.part.start + row, { ...facts, error: this.reading.shownError(String(problem)) });
  }

  #rowLine(row: number): Buffer {
    const start = row === 0 ? 0 : (this.lines.ends[row - 1] ?? 0);
    const descriptor = openFile(this.part.rowsPath, 'read');
    try {
      return readAt(descriptor, start, (this.lines.ends[row] ?? 0) - start - 1);
    } finally {
      closeSync(descriptor);
    }
  }
}

/** The row of a line of `rows.jsonl`, without an answer. @throws FilesReplaced where it is not such a line */
function resultRow(line: Buffer): ResultRow {
  const value = parseJson(line.toString('utf8'));
  if (!isObject(value)) throw new FilesReplaced();
  const { messages, request_messages: request = messages } = value;
  return {
    ...(value as unknown as ResultRow),
    request_messages: (request ?? null) as null,
    annotation: null,
  };
}

function turnsIn(line: Buffer): number {
  return countTurns(resultRow(line).request_messages ?? undefined);
}

/**
 * The times of all requests of a part: 4 bytes each, and 8 more where it matters when they were sent. A line may be about
 * a row as a whole or about one of its requests.
 */
function timesOf(rows: number, layout: PartLayout | null, hasHours: boolean): RequestTimes {
  const total = rows + (layout?.total ?? 0);
  const firstOf = (row: number): number => rows + (layout?.firstOf(row) ?? 0);
  const countOf = (row: number): number => layout?.countOf(row) ?? 0;
  const slots: RequestSlots = {
    of: (row, part) => {
      if (row >= rows) return null;
      if (part === '') return row;
      return Number(part) < countOf(row) ? firstOf(row) + Number(part) : null;
    },
    *all(row) {
      if (row >= rows) return;
      yield row;
      for (let part = 0; part < countOf(row); part++) yield firstOf(row) + part;
    },
  };
  const sent = hasHours ? new Float64Array(total).fill(NaN) : null;
  return new RequestTimes(slots, new Float32Array(total).fill(NaN), sent);
}

/** How many requests a row takes, by the run's parameters; null where it is one. */
function layoutOf(
  params: Readonly<Record<string, unknown>>,
  rows: number,
  turns: readonly number[],
): PartLayout | null {
  if (params['turns'] === 'all') return turnLayout(Uint32Array.from(turns));
  const { check_retry: retries, n } = params;
  if (typeof retries === 'number') return choiceLayout(rows, 1 + retries, 1);
  return typeof n === 'number' && n > 1 ? choiceLayout(rows, n) : null;
}

function markOf(path: string): string | null {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? null : `${found.ino} ${found.size} ${found.mtimeMs}`;
}

/**
 * Reads the whole lines of a file from a place on, in bounded memory.
 * @returns where the last whole line ends
 */
async function eachLine(
  path: string,
  from: number,
  onLine: (line: Buffer, offset: number) => void,
): Promise<number> {
  const pause = cooperativePause();
  const descriptor = openFile(path, 'read');
  let offset = from;
  let size = BLOCK_BYTES;
  try {
    for (;;) {
      const bytes = readAt(descriptor, offset, Math.min(size, fstatSync(descriptor).size - offset));
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      if (end === 0) {
        // A line that is longer than the block, or one that is still being written.
        if (bytes.length < size) return offset;
        size *= 2;
        continue;
      }
      for (let start = 0; start < end;) {
        const stop = endOfLine(bytes, start);
        onLine(bytes.subarray(start, stop), offset + start);
        start = stop + 1;
      }
      offset += end;
      size = BLOCK_BYTES;
      await pause();
    }
  } finally {
    closeSync(descriptor);
  }
}
