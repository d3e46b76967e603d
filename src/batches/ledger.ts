/**
 * `batches.json`: which rows are in which batch, and how far each batch is. What is about to be paid for is written
 * down before the call, and the id right after it. `batch_objects.json` is made from it for people and for
 * `--batch_objects_file`.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { addUsage, NO_USAGE, restoreUsage, type Usage } from '../annotators/usage.js';
import { UserError } from '../errors.js';
import { requireLock } from '../fence.js';
import { replaceFile } from '../files.js';
import { isObject, parseJson } from '../json.js';
import type { ParameterChange } from '../requests/parameters.js';
import type { RunFolder } from '../run/folder.js';
import { readBatch, type Batch } from './batch.js';

/**
 * - `planned`: its file is written, nothing is uploaded;
 * - `uploaded`: the API has its file;
 * - `creating`: a batch is being made of it; where no answer came, only the account's list can tell whether it was;
 * - `submitted`: a batch is under way, or has ended and is not yet collected;
 * - `waiting`: the queue was full; it is submitted when there is room;
 * - `collected`: what its batch answered is in the journal;
 * - `halved`: it did not fit into the queue at all; two smaller ones took its place.
 */
export type ChunkState =
  'planned' | 'uploaded' | 'creating' | 'submitted' | 'waiting' | 'collected' | 'halved';

/** Rows that are submitted together. */
export interface Chunk {
  /** Counts the run's chunks from 0. */
  number: number;
  /** Its input file, below the run's folder of working files; null where it can't be had (somebody else's batch). */
  file: string | null;
  /** True for a batch that was not submitted from this folder, but found by its id or in the account. */
  isAdopted: boolean;
  requests: number;
  bytes: number;
  /** Tokens of its prompts, roughly: what the queue's limit counts. */
  tokens: number;
  state: ChunkState;
  inputFileId: string | null;
  /** How many times a batch was made of it, or may have been. */
  attempt: number;
  /** Milliseconds since 1970; when the last of them was about to be made. */
  creatingAt: number | null;
  /** Why the queue refused it, and when it may be tried again (milliseconds since 1970). */
  refusedBy: string | null;
  tryAgainAt: number | null;
  refusals: number;
  batch: Batch | null;
  /** Polls since its batch ended. */
  endedPolls: number;
  /** What its batch came to; null until it is collected. */
  collected: Collected | null;
}

/** What a collected batch came to. */
export interface Collected {
  /** Milliseconds since 1970. */
  at: number;
  /** Requests that the API worked on, whatever came of them. */
  processed: number;
  /** Answers that went into the journal. */
  answers: number;
  /** Tokens that were billed, at the batch price. */
  usage: Usage;
  /** The part of them that was spent on answers which could not be used. */
  wasted: Usage;
}

interface LedgerFile {
  version: 1;
  chunks: Chunk[];
  /** Batches that the queue refused and that were submitted again since. */
  superseded: unknown[];
  /** The queue's limit in tokens, once a refusal told it. */
  queueLimit: number | null;
  /** Parameters that the API refused, for the chunks to come. */
  learnt: ParameterChange[];
}

export class Ledger {
  readonly chunks: Chunk[];
  readonly superseded: Batch[];
  readonly learnt: ParameterChange[];
  queueLimit: number | null;
  #saving: Promise<void> = Promise.resolve();
  #next: Promise<void> | null = null;

  private constructor(
    private readonly folder: RunFolder,
    file: LedgerFile | null,
  ) {
    this.chunks = file?.chunks ?? [];
    this.superseded = (file?.superseded ?? []).map(readBatch).filter((batch) => batch !== null);
    this.learnt = file?.learnt ?? [];
    this.queueLimit = file?.queueLimit ?? null;
  }

  /**
   * Reads a run's ledger; an empty one where there is none.
   * @throws UserError where the file can't be read: what it knew may be paid for
   */
  static open(folder: RunFolder): Ledger {
    if (!existsSync(folder.batches)) return new Ledger(folder, null);
    const value = parseJson(readFileSync(folder.batches, 'utf8'));
    if (!isObject(value) || value['version'] !== 1 || !Array.isArray(value['chunks'])) {
      throw new UserError(
        `${folder.batches} can't be read. Move it away and run npx watch-batch --recover with the same dataset and ` +
          'annotator: it finds the batches in the account.',
      );
    }
    const file = value as unknown as LedgerFile;
    return new Ledger(folder, {
      ...file,
      chunks: file.chunks.map((chunk) => ({
        ...chunk,
        batch: readBatch(chunk.batch?.raw ?? null),
        collected: restoreCollected(chunk.collected),
      })),
    });
  }

  /** Chunks whose batch is under way, or has ended and is not collected. */
  get open(): Chunk[] {
    return this.chunks.filter((chunk) => chunk.state === 'submitted');
  }

  /** Chunks that still have to be submitted, whatever kept them. */
  get unsubmitted(): Chunk[] {
    return this.chunks.filter(({ state }) => ['planned', 'uploaded', 'creating', 'waiting'].includes(state));
  }

  /** Chunks of which a batch may exist although its creation was not answered. */
  get unanswered(): Chunk[] {
    return this.chunks.filter(({ state }) => state === 'creating');
  }

  /** Forgets chunks of which no batch exists: their rows are free again. */
  forget(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) this.chunks.splice(this.chunks.indexOf(chunk), 1);
  }

  /** Every batch that is known. */
  get batches(): Batch[] {
    const current = this.chunks.flatMap(({ batch }) => (batch === null ? [] : [batch]));
    return [...this.superseded, ...current].sort((a, b) => a.createdAt - b.createdAt);
  }

  get nextNumber(): number {
    return this.chunks.reduce((highest, { number }) => Math.max(highest, number), -1) + 1;
  }

  /** Tokens billed at the batch price, those of them that were wasted, and requests that were worked on. */
  totals(): { usage: Usage; wasted: Usage; processed: number; answers: number } {
    const collected = this.chunks.flatMap((chunk) => (chunk.collected === null ? [] : [chunk.collected]));
    return {
      usage: collected.reduce((sum, one) => addUsage(sum, one.usage), NO_USAGE),
      wasted: collected.reduce((sum, one) => addUsage(sum, one.wasted), NO_USAGE),
      processed: collected.reduce((sum, one) => sum + one.processed, 0),
      answers: collected.reduce((sum, one) => sum + one.answers, 0),
    };
  }

  /** Where a chunk's file stands. */
  pathOf(chunk: Chunk): string | null {
    return chunk.file === null ? null : join(this.folder.temp, chunk.file);
  }

  /** Writes both files; calls that come while one is being written share the next. */
  save(): Promise<void> {
    this.#next ??= this.#saving.then(async () => {
      this.#next = null;
      await this.#write();
    });
    this.#saving = this.#next.catch(() => undefined);
    return this.#next;
  }

  async #write(): Promise<void> {
    requireLock();
    const { chunks, superseded, queueLimit, learnt, batches } = this;
    await replaceFile(this.folder.batches, (file) => {
      const value = {
        version: 1,
        queueLimit,
        learnt,
        superseded: superseded.map(({ raw }) => raw),
        chunks: chunks.map((chunk) => ({
          ...chunk,
          batch: chunk.batch === null ? null : { raw: chunk.batch.raw },
        })),
      };
      file.write(`${JSON.stringify(value, null, 1)}\n`);
    });
    await replaceFile(this.folder.batchObjects, (file) => {
      file.write(
        `${JSON.stringify(
          batches.map(({ raw }) => raw),
          null,
          2,
        )}\n`,
      );
    });
  }
}

/** A chunk that nothing has happened to. */
export function newChunk(
  number: number,
  file: string | null,
  size: { requests: number; bytes: number; tokens: number },
): Chunk {
  return {
    number,
    file,
    isAdopted: false,
    ...size,
    state: 'planned',
    inputFileId: null,
    attempt: 0,
    creatingAt: null,
    refusedBy: null,
    tryAgainAt: null,
    refusals: 0,
    batch: null,
    endedPolls: 0,
    collected: null,
  };
}

/** What a collected batch came to; earlier versions wrote less of its usage. */
function restoreCollected(collected: Collected | null): Collected | null {
  return collected === null
    ? null
    : { ...collected, usage: restoreUsage(collected.usage), wasted: restoreUsage(collected.wasted) };
}
