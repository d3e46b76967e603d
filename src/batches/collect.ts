/**
 * Collects an ended batch: both files are downloaded, checked, joined to the rows by `custom_id`, and what they hold
 * goes through the same journal as online answers. Whatever the batch's state: what an expired or cancelled one
 * answered is paid for and counts.
 */

import { existsSync, rmSync } from 'node:fs';
import type { Completion } from '../models/completion.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { addUsage, NO_USAGE, type AnswerFigures } from '../models/usage.js';
import { fullyReported, usageOfAnswer } from '../models/usage-estimate.js';
import { UserError, unhandled } from '../lib/errors.js';
import { cooperativePause, readLines } from '../lib/files.js';
import { makeOwnFolder } from '../lib/own-folder.js';
import { noteDiscarded } from '../lib/memory.js';
import type { ParameterChange } from '../requests/parameters.js';
import { usageOf, type Verdict } from '../requests/verdict.js';
import { journalSource, type RunFolder } from '../run/folder.js';
import { JournalWriter, type JournalIndex } from '../run/journal.js';
import { LineReader } from '../run/line-reader.js';
import type { Redactor } from '../secrets/redactor.js';
import { count, sanitize, plural } from '../lib/text.js';
import type { Reporter } from '../types.js';
import { describeErrors, type Batch } from './batch.js';
import { Interrupted, type Waiting } from './calls.js';
import { rowAtLine } from './chunks.js';
import { LineIndex } from './line-index.js';
import { chatBodyOf, rowOfId } from './request-line.js';
import type { BatchApi } from './apis/batch-api.js';
import { saidOf, type Chunk, type Collected } from './chunk.js';
import type { Delivery } from './delivery.js';
import type { FileBounds } from './apis/batch-api.js';
import type { Ledger } from './ledger.js';
import {
  type EndedBatch,
  fetchResults,
  lineCount,
  type FileCheck,
  type ResultFiles,
  type ResultKind,
} from './result-files.js';
import { classifyResult, readResultLine } from './results.js';

const REASONS_TOLD = 3;

export interface CollectParts {
  folder: RunFolder;
  ledger: Ledger;
  client: Pick<BatchApi, 'download'>;
  index: JournalIndex;
  waiting: Waiting;
  reporter: Reporter;
  redactor: Redactor;
  /** The body of a row's request, for batches whose input file can't be had. */
  requestOf: (row: number) => Buffer;
  /** Which answers count as whole. */
  rules: AnswerRules;
  onAnswer: (answer: AnswerFigures) => void;
  /** An answer that may be incomplete was written to the journal. */
  onPartial: (answer: AnswerFigures) => void;
  /** How much a result file of this many requests can have. */
  bounds: (requests: number) => FileBounds;
}

/** How a batch is looked at this time. */
export interface Look {
  /** Milliseconds since this process looked at it before; 0 for the first time. */
  elapsed: number;
  /** True where the user expects nothing more of it. */
  givenUp: boolean;
}

/** What one batch came to. */
export interface BatchOutcome {
  answers: number;
  /** Rows that must not be sent again as they are: a line of theirs made the whole batch fail. */
  invalidRows: number[];
}

/**
 * Collects what there is of an ended batch, and notes in the ledger whether that is all; done twice it changes nothing.
 * @throws UserError where batch and dataset do not belong together
 */
export async function collect(
  chunk: Chunk,
  batch: Batch,
  { elapsed, givenUp }: Look,
  parts: CollectParts,
): Promise<BatchOutcome> {
  const { folder, ledger } = parts;
  makeOwnFolder(folder.downloads);
  const path = ledger.pathOf(chunk);
  // Without its file, the batch still says which rows its answers are for.
  const isThere = path !== null && existsSync(path);
  const requests = isThere ? (await LineIndex.build(path, parts.index.rows)).index : null;
  try {
    const collection = new Collection(chunk, batch, requests, parts);
    const bounds = parts.bounds(Math.max(chunk.requests, batch.counts.total));
    const check: EndedBatch['check'] = (file, kind) => collection.check(file, kind);
    const files = await fetchResults({ chunk, batch, bounds, check }, parts);
    collection.tellChecks(files);
    const outcome = await collection.journal(files);
    const { collected, delivery } = collection.result(files);
    await ledger.apply(chunk, { kind: 'delivered', collected, delivery, elapsed, givenUp });
    return outcome;
  } finally {
    requests?.close();
  }
}

function isBlank(bytes: Buffer): boolean {
  return bytes.length === 0 || (bytes.length < 4 && bytes.toString('latin1').trim() === '');
}

/** One batch while it is collected. */
class Collection {
  readonly #sums = {
    processed: 0,
    answers: 0,
    usage: NO_USAGE,
    wasted: NO_USAGE,
  };
  readonly #outcome: BatchOutcome = { answers: 0, invalidRows: [] };
  readonly #reasons = new Map<string, number>();
  /** Rows with a line. */
  #accounted = 0;

  constructor(
    private readonly chunk: Chunk,
    private readonly batch: Batch,
    private readonly requests: LineIndex | null,
    private readonly parts: CollectParts,
  ) {}

  /** What the batch came to so far, and what of it arrived. */
  result(files: ResultFiles): { collected: Collected; delivery: Delivery } {
    const { chunk, batch } = this;
    const accounted = this.#accounted;
    const checks = [files.output.check, files.error.check];
    return {
      collected: {
        ...this.#sums,
        at: chunk.collected?.at ?? Date.now(),
        accounted,
        said: saidOf(batch),
      },
      delivery: {
        requests: this.requests?.size ?? Math.max(chunk.requests, batch.counts.total),
        accounted,
        damaged: checks.reduce((sum, check) => sum + (check?.damaged ?? 0), 0),
        outputLines: lineCount(files.output.check),
        files: { output: files.output.state, error: files.error.state },
      },
    };
  }

  /** True for a row that this batch was asked for. */
  #isSubmitted(row: number | null): row is number {
    if (row === null || row >= this.parts.index.rows) return false;
    return this.requests === null || this.requests.has(row);
  }

  /** Reads a file without taking anything from it. */
  async check(path: string, kind: ResultKind): Promise<FileCheck> {
    const check: FileCheck = { known: 0, foreign: 0, damaged: 0 };
    let number = 0;
    const pause = cooperativePause();
    /** Lines that are no part of a result file, unless other lines show that it is one. */
    let other = 0;
    for (const { bytes } of readLines(path)) {
      if (isBlank(bytes)) continue;
      const line = readResultLine(bytes);
      if (line === null || line.id === null) {
        if (bytes.includes('"custom_id"')) check.damaged += 1;
        else other += 1;
      } else if (this.#isSubmitted(rowOfId(line.id))) check.known += 1;
      else check.foreign += 1;
      noteDiscarded(bytes.length * 3);
      number += 1;
      await pause();
      this.#stopWhereAsked();
    }
    if (lineCount(check) > 0) check.damaged += other;
    this.parts.reporter.debug(`${this.batch.id}: ${plural(number, 'line')} in the ${kind} file.`);
    return check;
  }

  /** @throws UserError where none of the answers is for a row of this run */
  tellChecks(files: ResultFiles): void {
    const checks = [files.output.check, files.error.check].filter((check) => check !== null);
    const foreign = checks.reduce((sum, check) => sum + check.foreign, 0);
    if (foreign === 0) return;
    if (checks.every(({ known }) => known === 0)) {
      // What was delivered by mistake must not stand in the way of the next download.
      for (const { path } of [files.output, files.error]) if (path !== null) rmSync(path);
      throw new UserError(
        `${sanitize(this.batch.id, 80)} does not belong to this dataset: none of its ${plural(foreign, 'answer')} is for one of ` +
          `the ${plural(this.parts.index.rows, 'row')}. Check --batch_ids, --dataset and --annotator.`,
      );
    }
    const what = plural(foreign, 'answer');
    this.parts.reporter.warning(
      `${sanitize(this.batch.id, 80)}: ${what} for rows that were not part of it; ignored.`,
    );
  }

  /** Takes what the files hold into the journal. */
  async journal(files: ResultFiles): Promise<BatchOutcome> {
    const { folder } = this.parts;
    // A full disk: what is not in the journal is still in the download.
    const failures: Error[] = [];
    const onFailure = (error: Error): void => {
      failures.push(error);
    };
    const journal = new JournalWriter(folder.journal, onFailure, folder.segments?.at(-1)?.number);
    const seen = new Uint8Array(this.parts.index.rows);
    const pause = cooperativePause();
    try {
      for (const path of [files.output.path, files.error.path]) {
        if (path === null) continue;
        for (const { bytes } of readLines(path)) {
          this.#take(bytes, journal, seen);
          noteDiscarded(bytes.length * 4);
          await pause();
          this.#stopWhereAsked();
          if (failures[0] !== undefined) throw failures[0];
        }
      }
      if (this.batch.status === 'failed') this.#invalidLines(journal);
    } finally {
      journal.close();
    }
    this.#tell();
    return this.#outcome;
  }

  /** What is in the journal by then is found there by the next start. */
  #stopWhereAsked(): void {
    if (this.parts.waiting.signal.aborted) throw new Interrupted();
  }

  #take(bytes: Buffer, journal: JournalWriter, seen: Uint8Array): void {
    const line = bytes.length === 0 ? null : readResultLine(bytes);
    const row = line === null ? null : rowOfId(line.id);
    if (line === null || !this.#isSubmitted(row)) return;
    if (seen[row] === 1) {
      this.#reason('an answer arrived twice; the first one counts');
      return;
    }
    seen[row] = 1;
    this.#accounted += 1;
    const verdict = classifyResult(line, this.parts.rules, this.parts.redactor);
    if (line.response !== null && line.response.status > 0) this.#sums.processed += 1;
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
        this.#kept(row, verdict, journal);
        break;
      case 'unfit':
        this.#kept(row, verdict, journal);
        this.#failed(row, verdict.message, false, journal);
        break;
      case 'unreadable':
      case 'transient':
      case 'throttle':
      case 'stream':
      case 'responses':
      case 'value':
      case 'run':
        break;
      default:
        throw unhandled(verdict);
    }
    const isKept = verdict.kind === 'partial' || verdict.kind === 'unfit';
    const wasted = isKept ? null : usageOf(verdict, this.#request(row));
    if (wasted !== null) {
      this.#sums.usage = addUsage(this.#sums.usage, wasted);
      this.#sums.wasted = addUsage(this.#sums.wasted, wasted);
    }
    this.#reason(verdict.message);
  }

  #answered(row: number, json: Buffer, completion: Completion, journal: JournalWriter): void {
    const { index, onAnswer } = this.parts;
    this.#sums.answers += 1;
    const usage =
      fullyReported(completion.usage) ?? usageOfAnswer(completion.usage, this.#request(row), json);
    this.#sums.usage = addUsage(this.#sums.usage, usage);
    const line = { row, part: null, choices: completion.annotations.length };
    if (!index.isLineImprovedBy(line, completion.state)) {
      // Either an earlier start took it before it was killed, or the row was answered elsewhere and this was for nothing.
      if (!this.#isTaken(row, json)) this.#sums.wasted = addUsage(this.#sums.wasted, usage);
      return;
    }
    this.#outcome.answers += 1;
    const place = journal.appendAnswer(this.#request(row), json, { row });
    index.recordLine(line, completion.state, place);
    onAnswer({ usage, tier: completion.tier });
  }

  /** An answer that cannot be used is kept: it is paid for, and counts as soon as its finish reason is accepted. */
  #kept(
    row: number,
    { json, usage: reported, tier }: Extract<Verdict, { kind: 'partial' | 'unfit' }>,
    journal: JournalWriter,
  ): void {
    const { index, onPartial } = this.parts;
    const usage = usageOfAnswer(reported, this.#request(row), json);
    this.#sums.usage = addUsage(this.#sums.usage, usage);
    if (index.isAnswered(row)) {
      this.#sums.wasted = addUsage(this.#sums.wasted, usage);
      return;
    }
    // Looked at again, it is in the journal.
    if (this.chunk.collected !== null) return;
    journal.appendAnswer(this.#request(row), json, { row });
    onPartial({ usage, tier });
  }

  /** True where the journal holds this very answer. */
  #isTaken(row: number, json: Buffer): boolean {
    const [line] = this.parts.index.placesOf(row);
    if (line === undefined) return false;
    const { place } = line;
    const end = Buffer.from(`,{"request_idx":${row}}]`);
    const journal = new LineReader(journalSource(this.parts.folder));
    try {
      return journal.read(place).subarray(0, -end.length).subarray(-json.length).equals(json);
    } finally {
      journal.close();
    }
  }

  #failed(row: number, message: string, filtered: boolean, journal: JournalWriter): void {
    const { index, redactor } = this.parts;
    if (index.isAnswered(row)) return;
    // Looked at again, it failed before.
    if (this.chunk.collected !== null && index.state(row) !== 'pending') return;
    const errors = [sanitize(redactor.text(message), 500)];
    const place = journal.appendFailure(this.#request(row), { errors, filtered }, { row });
    const line = { row, part: null, choices: 1 };
    index.recordLine(line, filtered ? 'filtered' : 'failed', place, { isError: true });
  }

  /** What was sent: the body that the batch's own file holds, or the job where the file has another form. */
  #request(row: number): Buffer {
    const line = this.requests?.read(row) ?? null;
    return (line === null ? null : chatBodyOf(line)) ?? this.parts.requestOf(row);
  }

  /** A parameter that the model does not take is changed in the batches to come. */
  #learn(change: ParameterChange): void {
    this.parts.ledger.learn([change]);
  }

  /** Rows whose own line made the whole batch fail. */
  #invalidLines(journal: JournalWriter): void {
    const path = this.parts.ledger.pathOf(this.chunk);
    for (const { line, message, code } of this.batch.errors) {
      const isKnown = line !== null && path !== null && existsSync(path);
      const row = isKnown ? rowAtLine(path, line) : null;
      if (!this.#isSubmitted(row)) continue;
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
    const reason = sanitize(message, 160).replace(/\d{4,}/g, 'N');
    if (this.#reasons.has(reason) || this.#reasons.size < 100) {
      this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
    }
  }

  #tell(): void {
    const { batch, chunk } = this;
    const { reporter } = this.parts;
    const { answers } = this.#sums;
    if (chunk.collected?.answers === answers) return;
    const reasons = [...this.#reasons].sort((a, b) => b[1] - a[1]).slice(0, REASONS_TOLD);
    const why = reasons.map(([reason, times]) => `${count(times)} × ${reason}`).join('; ');
    const asked = chunk.requests > 0 ? ` of ${count(chunk.requests)}` : '';
    const text = `${sanitize(batch.id, 80)} ${sanitize(batch.status, 40)}: ${count(answers)}${asked} answered${why === '' ? '' : ` (${why})`}.`;
    if (batch.status === 'failed')
      reporter.warning(`${sanitize(batch.id, 80)} failed: ${describeErrors(batch)}.`);
    else if (answers < chunk.requests || why !== '') reporter.warning(text);
    else reporter.info(text);
  }
}
