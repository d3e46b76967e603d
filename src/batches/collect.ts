/**
 * Collects an ended batch: both files are downloaded, checked, joined to the rows by `custom_id`, and what they hold
 * goes through the same journal as online answers. Whatever the batch's state: what an expired or cancelled one
 * answered is paid for and counts.
 */

import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Completion } from '../annotators/completion.js';
import type { FinishRules } from '../annotators/finish-reason.js';
import { addUsage, NO_USAGE, type AnswerFigures, type Usage } from '../annotators/usage.js';
import { fullyReported, usageOfAnswer } from '../annotators/usage-estimate.js';
import { UserError } from '../errors.js';
import { breathe, readAt, readLines } from '../files.js';
import { dropped } from '../memory.js';
import type { ParameterChange } from '../requests/parameters.js';
import { usageOf, type Verdict } from '../requests/verdict.js';
import type { RunFolder } from '../run/folder.js';
import { JournalWriter, type JournalIndex } from '../run/journal.js';
import { count, inert, plural, type Redactor } from '../text.js';
import type { Reporter } from '../types.js';
import { describeErrors, type Batch } from './batch.js';
import type { Waiting } from './calls.js';
import { rowAtLine } from './chunks.js';
import { LineIndex } from './line-index.js';
import { bodyOf, rowOfId } from './request-line.js';
import type { BatchClient } from './client.js';
import { download } from './download.js';
import { type Chunk, type Collected, type Ledger } from './ledger.js';
import { unpackResults } from './result-file.js';
import { judgeResult, readResultLine } from './results.js';

const BREATHE_EVERY = 200;
const REASONS_TOLD = 3;

export interface CollectParts {
  folder: RunFolder;
  ledger: Ledger;
  client: BatchClient;
  index: JournalIndex;
  waiting: Waiting;
  reporter: Reporter;
  redactor: Redactor;
  /** The body of a row's request, for batches whose input file can't be had. */
  requestOf: (row: number) => Buffer;
  /** Which finish reasons mean a whole answer. */
  rules: FinishRules;
  onAnswer: (answer: AnswerFigures) => void;
  /** An answer that may be incomplete was written to the journal. */
  onPartial: (usage: Usage) => void;
}

/** What one batch came to. */
export interface BatchOutcome {
  answers: number;
  /** Rows that must not be sent again as they are: a line of theirs made the whole batch fail. */
  invalidRows: number[];
}

/** The files of a batch that are on disk; null where it has none. */
export interface ResultFiles {
  output: string | null;
  error: string | null;
}

/** Where the result files of a batch are kept. */
export function resultPath(folder: RunFolder, batch: Batch, kind: 'output' | 'error' | 'input'): string {
  return join(folder.downloads, `${batch.id}_${kind}.jsonl`);
}

/**
 * Collects one ended batch; done twice it changes nothing.
 * @throws UserError where batch and dataset do not belong together
 */
export async function collect(chunk: Chunk, batch: Batch, parts: CollectParts): Promise<BatchOutcome> {
  const { folder, ledger } = parts;
  mkdirSync(folder.downloads, { recursive: true, mode: 0o700 });
  const path = ledger.pathOf(chunk);
  const requests = path === null ? null : (await LineIndex.build(path, parts.index.rows)).index;
  try {
    const collection = new Collection(chunk, batch, requests, parts);
    const files = await fetchChecked(collection, batch, parts);
    const outcome = await collection.journal(files);
    chunk.collected = { ...collection.result, at: Date.now() };
    chunk.state = 'collected';
    await ledger.save();
    return outcome;
  } finally {
    requests?.close();
  }
}

/** Downloads both files and checks them; a damaged one is downloaded a second time. */
async function fetchChecked(collection: Collection, batch: Batch, parts: CollectParts): Promise<ResultFiles> {
  const files: ResultFiles = { output: null, error: null };
  for (const kind of ['output', 'error'] as const) {
    const fileId = kind === 'output' ? batch.outputFileId : batch.errorFileId;
    if (fileId === null) continue;
    const path = resultPath(parts.folder, batch, kind);
    let isThere = await fetchResults(fileId, path, parts);
    if (isThere && (await collection.check(path, kind)) > 0) {
      rmSync(path);
      isThere = await fetchResults(fileId, path, parts);
      if (isThere) collection.tellDamage(await collection.check(path, kind), path);
    }
    if (isThere) files[kind] = path;
    else
      parts.reporter.warning(
        `The ${kind} file of ${batch.id} is gone from the account; its rows stay pending.`,
      );
  }
  collection.tellChecks();
  return files;
}

/** Downloads a file as JSON Lines; false where the account has it no more. */
async function fetchResults(
  fileId: string,
  path: string,
  { client, waiting, redactor }: CollectParts,
): Promise<boolean> {
  if (!(await download(client, fileId, path, waiting, redactor))) return false;
  await unpackResults(path, redactor);
  return true;
}

/** One batch while it is collected. */
class Collection {
  readonly result: Collected = {
    at: 0,
    processed: 0,
    answers: 0,
    usage: NO_USAGE,
    wasted: NO_USAGE,
  };
  readonly #outcome: BatchOutcome = { answers: 0, invalidRows: [] };
  readonly #reasons = new Map<string, number>();
  /** Lines for rows that were asked here, and for others, by file. */
  readonly #checked = new Map<string, { known: number; foreign: number }>();
  #lines = 0;

  constructor(
    private readonly chunk: Chunk,
    private readonly batch: Batch,
    private readonly requests: LineIndex | null,
    private readonly parts: CollectParts,
  ) {}

  /** True for a row that this batch was asked for. */
  #isAsked(row: number | null): row is number {
    if (row === null || row >= this.parts.index.rows) return false;
    return this.requests === null || this.requests.has(row);
  }

  /**
   * Reads a file without taking anything from it.
   * @returns how many lines are damaged
   */
  async check(path: string, kind: 'output' | 'error'): Promise<number> {
    const lines = { known: 0, foreign: 0 };
    let damaged = 0;
    let number = 0;
    for (const { bytes } of readLines(path)) {
      if (bytes.length === 0) continue;
      const line = readResultLine(bytes);
      if (line === null) damaged += 1;
      else if (this.#isAsked(rowOfId(line.id))) lines.known += 1;
      else lines.foreign += 1;
      dropped(bytes.length * 3);
      number += 1;
      if (number % BREATHE_EVERY === 0) await breathe();
    }
    this.#checked.set(kind, lines);
    this.parts.reporter.debug(`${this.batch.id}: ${plural(number, 'line')} in the ${kind} file.`);
    return damaged;
  }

  tellDamage(lines: number, path: string): void {
    if (lines === 0) return;
    const what = plural(lines, 'line');
    this.parts.reporter.warning(
      `${what} of ${path} can't be read, also after a second download; their rows stay pending.`,
    );
  }

  /** @throws UserError where none of the answers is for a row of this run */
  tellChecks(): void {
    const checked = [...this.#checked.values()];
    const foreign = checked.reduce((sum, lines) => sum + lines.foreign, 0);
    if (foreign === 0) return;
    if (checked.every(({ known }) => known === 0)) {
      throw new UserError(
        `${this.batch.id} does not belong to this dataset: none of its ${plural(foreign, 'answer')} is for one of ` +
          `the ${plural(this.parts.index.rows, 'row')}. Check --batch_ids, --dataset and --annotator.`,
      );
    }
    const what = plural(foreign, 'answer');
    this.parts.reporter.warning(`${this.batch.id}: ${what} to rows that were not asked there; left out.`);
  }

  /** Takes what the files hold into the journal. */
  async journal(files: ResultFiles): Promise<BatchOutcome> {
    const { folder } = this.parts;
    // A full disk: what is not in the journal is still in the download.
    const failures: Error[] = [];
    const journal = new JournalWriter(folder.journal, (error) => {
      failures.push(error);
    });
    const seen = new Uint8Array(this.parts.index.rows);
    try {
      for (const path of [files.output, files.error]) {
        if (path === null) continue;
        for (const { bytes } of readLines(path)) {
          this.#take(bytes, journal, seen);
          dropped(bytes.length * 4);
          this.#lines += 1;
          if (this.#lines % BREATHE_EVERY === 0) {
            await breathe();
            if (failures[0] !== undefined) throw failures[0];
          }
        }
      }
      if (this.batch.status === 'failed') this.#invalidLines(journal);
    } finally {
      journal.close();
    }
    this.#tell();
    return this.#outcome;
  }

  #take(bytes: Buffer, journal: JournalWriter, seen: Uint8Array): void {
    const line = bytes.length === 0 ? null : readResultLine(bytes);
    const row = line === null ? null : rowOfId(line.id);
    if (line === null || !this.#isAsked(row)) return;
    if (seen[row] === 1) {
      this.#reason('an answer came twice; the first one counts');
      return;
    }
    seen[row] = 1;
    const verdict = judgeResult(line, this.parts.rules);
    if (line.response !== null && line.response.status > 0) this.result.processed += 1;
    switch (verdict.kind) {
      case 'answer':
        this.#answered(row, verdict.json, verdict.completion, journal);
        return;
      case 'row':
        this.#failed(row, verdict.message, verdict.filtered, journal);
        break;
      case 'parameter':
        if (verdict.certain) for (const change of verdict.changes) this.#learn(change);
        else this.#failed(row, verdict.message, false, journal);
        break;
      case 'partial':
        this.#partial(row, verdict, journal);
        break;
      default:
    }
    const wasted = verdict.kind === 'partial' ? null : usageOf(verdict);
    if (wasted !== null) {
      this.result.usage = addUsage(this.result.usage, wasted);
      this.result.wasted = addUsage(this.result.wasted, wasted);
    }
    this.#reason(verdict.message);
  }

  #answered(row: number, json: Buffer, completion: Completion, journal: JournalWriter): void {
    const { index, redactor, onAnswer } = this.parts;
    this.result.answers += 1;
    const usage =
      fullyReported(completion.usage) ?? usageOfAnswer(completion.usage, this.#request(row), json);
    this.result.usage = addUsage(this.result.usage, usage);
    this.#outcome.answers += 1;
    if (!index.isImprovedBy(row, completion.state)) {
      // Either an earlier start took it before it was killed, or the row was answered elsewhere and this was for nothing.
      if (!this.#isTaken(row, json)) this.result.wasted = addUsage(this.result.wasted, usage);
      return;
    }
    const place = journal.appendAnswer(this.#request(row), redactor.bytes(json), row);
    index.record(row, completion.state, place.offset, place.length);
    onAnswer({ usage, isFlex: completion.isFlex });
  }

  /** An answer that may be incomplete is kept: it counts as soon as its finish reason is accepted. */
  #partial(
    row: number,
    { json, usage: reported }: Extract<Verdict, { kind: 'partial' }>,
    journal: JournalWriter,
  ): void {
    const { index, redactor, onPartial } = this.parts;
    const usage = usageOfAnswer(reported, this.#request(row), json);
    this.result.usage = addUsage(this.result.usage, usage);
    if (index.isAnswered(row)) {
      this.result.wasted = addUsage(this.result.wasted, usage);
      return;
    }
    journal.appendAnswer(this.#request(row), redactor.bytes(json), row);
    onPartial(usage);
  }

  /** True where the journal holds this very answer. */
  #isTaken(row: number, json: Buffer): boolean {
    const place = this.parts.index.place(row);
    if (place === null) return false;
    const end = Buffer.from(`,{"request_idx":${row}}]`);
    const journal = openSync(this.parts.folder.journal, 'r');
    try {
      const line = readAt(journal, place.offset, place.length);
      return line.subarray(0, -end.length).subarray(-json.length).equals(json);
    } finally {
      closeSync(journal);
    }
  }

  #failed(row: number, message: string, filtered: boolean, journal: JournalWriter): void {
    const { index, redactor } = this.parts;
    if (index.isAnswered(row)) return;
    const errors = [inert(redactor.text(message), 500)];
    const place = journal.appendFailure(this.#request(row), errors, filtered, row);
    index.record(row, filtered ? 'filtered' : 'failed', place.offset, place.length, true);
  }

  /** What was asked: the body that the batch's own file holds. */
  #request(row: number): Buffer {
    const line = this.requests?.read(row) ?? null;
    return (line === null ? null : bodyOf(line)) ?? this.parts.requestOf(row);
  }

  /** A parameter that the model does not take is changed in the batches to come. */
  #learn(change: ParameterChange): void {
    const { learnt } = this.parts.ledger;
    if (!learnt.some(({ parameter }) => parameter === change.parameter)) learnt.push(change);
  }

  /** Rows whose own line made the whole batch fail. */
  #invalidLines(journal: JournalWriter): void {
    const path = this.parts.ledger.pathOf(this.chunk);
    for (const { line, message, code } of this.batch.errors) {
      const row = line === null || path === null ? null : rowAtLine(path, line);
      if (!this.#isAsked(row)) continue;
      this.#outcome.invalidRows.push(row);
      this.#failed(
        row,
        `line ${line ?? 0} of the batch was refused: ${message === '' ? code : message}`,
        false,
        journal,
      );
    }
  }

  #reason(message: string): void {
    // Messages that differ in a number alone are one reason.
    const reason = inert(message, 160).replace(/\d{4,}/g, 'N');
    if (this.#reasons.has(reason) || this.#reasons.size < 100) {
      this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
    }
  }

  #tell(): void {
    const { batch, chunk } = this;
    const { reporter } = this.parts;
    const { answers } = this.result;
    const reasons = [...this.#reasons].sort((a, b) => b[1] - a[1]).slice(0, REASONS_TOLD);
    const why = reasons.map(([reason, times]) => `${count(times)} × ${reason}`).join('; ');
    const asked = chunk.requests > 0 ? ` of ${count(chunk.requests)}` : '';
    const text = `${batch.id} ${inert(batch.status, 40)}: ${count(answers)}${asked} answered${why === '' ? '' : ` (${why})`}.`;
    if (batch.status === 'failed') reporter.warning(`${batch.id} failed: ${describeErrors(batch)}.`);
    else if (answers < chunk.requests || why !== '') reporter.warning(text);
    else reporter.info(text);
  }
}
