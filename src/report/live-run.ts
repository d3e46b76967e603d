/**
 * A run while it goes on, from its working files: what was appended to the journals since the last look is added to the
 * counts, so that a look costs what is new. Nothing is changed, and another process may write the files. Memory holds
 * some 21 bytes a row beside what a page shows.
 */

import { closeSync, existsSync, fstatSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import type { ResultRow } from '../exports/rows.js';
import { readSummary } from '../judge/figures.js';
import { breather, endOfLine, openFile, readAt } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { lockHolder } from '../lib/lock.js';
import { answerRules, type AnswerRules } from '../models/answer-rules.js';
import { STANDARD_RULES } from '../models/finish-reason.js';
import { DEFAULT_SELECTION, selectAnswer, SELECTIONS } from '../models/select-answer.js';
import { JournalIndex, SEGMENT_SPAN } from '../run/journal.js';
import { parseJournalLine, type JournalEntry } from '../run/journal-line.js';
import { figuresOf, journalFiles, type JournalPart } from './answer-figures.js';
import { readJsonFile, reportOf, shownError, type CollectOptions, type ReportedRun } from './collect.js';
import type { ReportData } from './data.js';
import { readJudgements } from './judgements.js';
import { Pass } from './pass.js';
import type { RowFacts } from './shown-row.js';

const BLOCK_BYTES = 1 << 20;
/** Of a plan with many shards so many locks are looked at each time. */
const MOST_LOCKS = 64;

/** What the answers so far came to. */
interface Sums {
  prompt: number;
  completion: number;
  reasoning: number;
  /** Null as soon as the cost of one answer is not known. */
  cost: number | null;
  models: Map<string, number>;
}

/** A part of the run, as far as it was read. */
interface OpenPart extends JournalPart {
  index: JournalIndex;
  /** Where each row's line ends in `rowsPath`. */
  ends: Float64Array;
  /** Tells `rowsPath` as it was read from another file: a larger --limit replaces it. */
  mark: string;
  /** Bytes of each file of the journal that were read. */
  read: Map<string, number>;
}

/** A row's line of the journal and where it is. */
interface FoundLine {
  path: string;
  bytes: Buffer;
  offset: number;
}

/** The files are others than those that were read: what was counted is counted again. */
class FilesReplaced extends Error {}

export class LiveRun {
  #pass: Pass;
  #sums: Sums = noSums();
  readonly #parts = new Map<number, OpenPart>();
  #rules: AnswerRules = STANDARD_RULES;
  #status: ReportData['status'] = 'running';

  constructor(
    private readonly run: ReportedRun,
    private readonly options: Omit<CollectOptions, 'onProgress' | 'now'>,
  ) {
    this.#pass = this.#newPass();
  }

  /**
   * Reads what was written since the last time.
   * @returns true where the page would change
   */
  async update(): Promise<boolean> {
    this.#rules = await this.#readRules();
    const before = this.#status;
    let isChanged: boolean;
    try {
      isChanged = await this.#readParts();
    } catch (error) {
      if (!(error instanceof FilesReplaced)) throw error;
      this.#parts.clear();
      this.#pass = this.#newPass();
      this.#sums = noSums();
      await this.#readParts();
      isChanged = true;
    }
    this.#status = this.#statusNow();
    return isChanged || before !== this.#status;
  }

  /** The page's data as of the last update. */
  report(now: Date): ReportData {
    const parts = [...this.#parts.values()];
    const known = parts.reduce((sum, { index }) => sum + index.rows, 0);
    const planned = this.run.parts.reduce((sum, { rows }) => sum + (Number.isFinite(rows) ? rows : 0), 0);
    const counted = this.#pass.result(this.run.parts.length > 1 ? Math.max(known, planned) : known);
    const options = { ...this.options, now };
    return reportOf(this.run, options, counted, { status: this.#status, summary: this.#summary() });
  }

  #newPass(): Pass {
    const { sample, rows, onlyRows } = this.options;
    return new Pass({ sample, rows, onlyRows, verdicts: readJudgements(this.run.folder.judgements) });
  }

  async #readRules(): Promise<AnswerRules> {
    const { accept_finish_reason: accepted, response_format: format = null } = this.run.config.params ?? {};
    const acceptFinishReason = Array.isArray(accepted) ? accepted.map(String) : [];
    return answerRules({ acceptFinishReason, generation: { response_format: format } });
  }

  async #readParts(): Promise<boolean> {
    let isChanged = false;
    for (const [place, part] of this.run.parts.entries()) {
      const open = this.#parts.get(place) ?? (await this.#open(place, part));
      if (open === null) continue;
      if (markOf(part.rowsPath) !== open.mark) throw new FilesReplaced();
      for (const path of journalFiles(part)) if (await this.#readNew(path, open)) isChanged = true;
    }
    return isChanged;
  }

  /** Reads where the rows of a part are; null where they are not there yet. */
  async #open(place: number, part: JournalPart): Promise<OpenPart | null> {
    const mark = markOf(part.rowsPath);
    if (mark === null) return null;
    const ends: number[] = [];
    const unusable: [row: number, line: Buffer][] = [];
    let start = 0;
    await this.#eachLine(part.rowsPath, 0, (line) => {
      start += line.length + 1;
      ends.push(start);
      if (line.subarray(0, PROBLEM.length).equals(PROBLEM))
        unusable.push([ends.length - 1, Buffer.from(line)]);
    });
    const index = new JournalIndex(ends.length);
    const open = { ...part, index, ends: Float64Array.from(ends), mark, read: new Map<string, number>() };
    this.#parts.set(place, open);
    for (const [row, line] of unusable) {
      const { problem, row: value } = JSON.parse(line.toString('utf8')) as {
        problem: string;
        row: ResultRow;
      };
      index.record(row, 'failed', 0, 0, true);
      const facts = { row: { ...value, annotation: null }, state: 'failed' as const, figures: null };
      this.#pass.add(part.start + row, { ...facts, error: shownError(problem, this.options.isPublic) });
    }
    return open;
  }

  /** Counts the lines that a file of a journal has beyond those that were read. */
  async #readNew(path: string, part: OpenPart): Promise<boolean> {
    const from = part.read.get(path) ?? 0;
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size < from) throw new FilesReplaced();
    if (size === from) return false;
    const base = numberOf(path) * SEGMENT_SPAN;
    const read = await this.#eachLine(path, from, (bytes, offset) => {
      this.#addLine({ path, bytes, offset: base + offset }, part);
    });
    part.read.set(path, read);
    return read > from;
  }

  #addLine(line: FoundLine, part: OpenPart): void {
    const entry = parseJournalLine(line.bytes, this.#rules);
    if (
      entry === null ||
      entry.row >= part.index.rows ||
      (entry.kind !== 'answer' && entry.kind !== 'failure')
    )
      return;
    const { index } = part;
    const { row } = entry;
    const state = entry.kind === 'answer' ? entry.completion.state : entry.state;
    const place = index.place(row);
    const before = index.state(row);
    if (!index.record(row, state, line.offset, line.bytes.length, entry.kind === 'failure')) return;
    if (place !== null) this.#takeBack(row, place, part);
    else if (before !== 'pending') return;
    const facts = this.#factsOf(entry, part);
    this.#pass.add(part.start + row, facts);
    this.#addFigures(facts);
  }

  /** Another answer replaces the one that a row had. */
  #takeBack(row: number, place: { offset: number; length: number }, part: OpenPart): void {
    const number = Math.floor(place.offset / SEGMENT_SPAN);
    const path = journalFiles(part).find((one) => numberOf(one) === number);
    const bytes = path === undefined ? null : readFrom(path, place.offset % SEGMENT_SPAN, place.length);
    const entry = bytes === null ? null : parseJournalLine(bytes, this.#rules);
    if (entry === null || entry.row !== row || (entry.kind !== 'answer' && entry.kind !== 'failure'))
      throw new FilesReplaced();
    // Its tokens were paid for all the same.
    this.#pass.remove(part.start + row, this.#factsOf(entry, part));
  }

  #factsOf(entry: Extract<JournalEntry, { kind: 'answer' | 'failure' }>, part: OpenPart): RowFacts {
    const row = rowAt(part, entry.row);
    if (entry.kind === 'failure') {
      const error = entry.errors.at(-1) ?? null;
      return {
        row: { ...row, annotation: null },
        state: entry.state,
        error: error === null ? null : shownError(error, this.options.isPublic),
        figures: null,
      };
    }
    const { completion, origin } = entry;
    const { annotations, annotation, reasonings, toolCalls, state, note } = completion;
    const by = SELECTIONS.find((one) => one === this.run.config.params?.['select']) ?? DEFAULT_SELECTION;
    const choice = annotation === null || annotations.length < 2 ? 0 : selectAnswer(annotations, by).choice;
    const calls = toolCalls[choice] ?? null;
    return {
      row: {
        ...row,
        annotation: annotation === null ? null : (annotations[choice] ?? annotation),
        reasoning: reasonings[choice] ?? null,
        annotation_tool_calls: calls === null ? null : [...calls],
        ...(annotations.length > 1 ? { annotations } : {}),
      },
      state,
      error: note,
      figures: figuresOf(completion, entry.figures(), origin, this.run.pricing),
    };
  }

  #addFigures({ figures }: RowFacts): void {
    if (figures === null) return;
    const sums = this.#sums;
    sums.prompt += figures.promptTokens ?? 0;
    sums.completion += figures.completionTokens ?? 0;
    sums.reasoning += figures.reasoningTokens;
    sums.cost = sums.cost === null || figures.cost === null ? null : sums.cost + figures.cost;
    const model = figures.model ?? 'unknown';
    sums.models.set(model, (sums.models.get(model) ?? 0) + 1);
  }

  /** What `summary.json` would hold by now; once the run is over, what it holds. */
  #summary(): Record<string, unknown> {
    const { folder, pricing } = this.run;
    if (this.#status === 'finished') return readSummary(folder.summary);
    const { prompt, completion, reasoning, cost, models } = this.#sums;
    const counters = readJsonFile(folder.counters);
    const { sent, throttled, retried, startedAt } = isObject(counters) ? counters : {};
    return {
      ...(typeof sent === 'number' ? { requests: { sent, throttled, retried } } : {}),
      tokens: { prompt, completion, ...(reasoning > 0 ? { reasoning } : {}) },
      cost_usd: cost,
      models: Object.fromEntries(models),
      mode: pricing.isBatch ? 'batch' : 'online',
      started_at: startedAt,
    };
  }

  #statusNow(): ReportData['status'] {
    const { folder, parts } = this.run;
    const isPending = [...this.#parts.values()].some(({ index }) => index.count('pending') > 0);
    const isWorkedOn = [folder.temp, ...parts.slice(0, MOST_LOCKS).map((part) => part.folder)].some(
      (path) => existsSync(path) && lockHolder(path) !== null,
    );
    if (isWorkedOn) return 'running';
    return !isPending && this.#parts.size > 0 && existsSync(folder.summary) ? 'finished' : 'stopped';
  }

  /**
   * Reads the whole lines of a file from a place on, in bounded memory.
   * @returns where the last whole line ends
   */
  async #eachLine(
    path: string,
    from: number,
    onLine: (line: Buffer, offset: number) => void,
  ): Promise<number> {
    const pause = breather();
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
}

const NEWLINE = 0x0a;
const PROBLEM = Buffer.from('{"problem":');

function noSums(): Sums {
  return { prompt: 0, completion: 0, reasoning: 0, cost: 0, models: new Map() };
}

function markOf(path: string): string | null {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? null : `${found.ino} ${found.size} ${found.mtimeMs}`;
}

/** The number of a journal's file: 0 where it is the only one. */
function numberOf(path: string): number {
  return Number(/^output\.(\d+)\.jsonl$/.exec(basename(path))?.[1] ?? 0);
}

function readFrom(path: string, offset: number, length: number): Buffer {
  const descriptor = openFile(path, 'read');
  try {
    return readAt(descriptor, offset, length);
  } finally {
    closeSync(descriptor);
  }
}

/** A row with its prompt and its old answer. */
function rowAt({ rowsPath, ends }: OpenPart, row: number): ResultRow {
  const start = row === 0 ? 0 : (ends[row - 1] ?? 0);
  const line = readFrom(rowsPath, start, (ends[row] ?? 0) - start - 1);
  const value = parseJson(line.toString('utf8'));
  if (!isObject(value)) throw new FilesReplaced();
  const { messages, request_messages: request = messages } = value;
  return {
    ...(value as unknown as ResultRow),
    request_messages: (request ?? null) as null,
    annotation: null,
  };
}
