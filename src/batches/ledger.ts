/**
 * `batches.json`: which rows are in which batch, and how far each batch is. What is about to be paid for is written
 * down before the call, and the id right after it. `batch_objects.json` is made from it for people and for
 * `--batch_objects_file`.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { addUsage, NO_USAGE, restoreUsage, type Usage } from '../models/usage.js';
import { UserError } from '../lib/errors.js';
import { requireLock } from '../lib/fence.js';
import { replaceFile, readOwnText } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import type { ParameterChange } from '../requests/parameters.js';
import type { RunFolder } from '../run/folder.js';
import { isQueueRefusal, readBatch, type Batch } from './batch.js';
import { CHUNK_STATES, newChunk, type Chunk, type ChunkState, type Collected } from './chunk.js';
import { holdsRows, isOutstanding, transition, type ChunkEvent } from './chunk-states.js';

/** Where a chunk is while it is changed. */
type Writable<Value> = { -readonly [Name in keyof Value]: Value[Name] };

interface LedgerFile {
  version: 1 | 2;
  chunks: Chunk[];
  /** Batches that the queue refused and that were submitted again since. */
  superseded: unknown[];
  /** The queue's limit in tokens, once a refusal has named it. */
  queueLimit: number | null;
  /** Parameters that the API refused, for the chunks to come. */
  learnt: ParameterChange[];
}

export class Ledger {
  readonly #chunks: Writable<Chunk>[];
  readonly #superseded: Batch[];
  readonly #learnt: ParameterChange[];
  #queueLimit: number | null;
  #saving: Promise<void> = Promise.resolve();
  #next: Promise<void> | null = null;

  private constructor(
    private readonly folder: RunFolder,
    file: LedgerFile | null,
  ) {
    this.#chunks = file?.chunks ?? [];
    this.#superseded = (file?.superseded ?? []).map(readBatch).filter((batch) => batch !== null);
    this.#learnt = file?.learnt ?? [];
    this.#queueLimit = file?.queueLimit ?? null;
  }

  /**
   * Reads a run's ledger; an empty one where there is none.
   * @throws UserError where the file can't be read: what it knew may be paid for
   */
  static open(folder: RunFolder): Ledger {
    if (!existsSync(folder.batches)) return new Ledger(folder, null);
    const value = parseJson(readOwnText(folder.batches));
    const chunks = isObject(value) && Array.isArray(value['chunks']) ? value['chunks'].map(readChunk) : [];
    if (
      !isObject(value) ||
      (value['version'] !== 1 && value['version'] !== 2) ||
      !Array.isArray(value['chunks']) ||
      chunks.includes(null)
    ) {
      // A shard has segments; its next worker looks through the account by itself.
      const next =
        folder.segments === undefined
          ? 'npx watch-batch --recover with the same dataset and annotator'
          : 'npx reannotate work again';
      throw new UserError(
        `${folder.batches} cannot be read. Move it away and run ${next}: it finds the batches in the account.`,
      );
    }
    const known = chunks.filter((chunk) => chunk !== null);
    return new Ledger(folder, {
      ...(value as unknown as LedgerFile),
      chunks: value['version'] === 1 ? known.map(fromVersion1) : known,
    });
  }

  get chunks(): readonly Chunk[] {
    return this.#chunks;
  }

  /** Parameters that the API refused, for the chunks to come. */
  get learnt(): readonly ParameterChange[] {
    return this.#learnt;
  }

  /** The queue's limit in tokens; null until a refusal names it. */
  get queueLimit(): number | null {
    return this.#queueLimit;
  }

  /** Chunks whose batch is running, or has ended and is not collected. */
  get open(): Chunk[] {
    return this.#chunks.filter((chunk) => chunk.state === 'submitted');
  }

  /** Chunks that still have to be submitted, whatever kept them. */
  get unsubmitted(): Chunk[] {
    return this.#chunks.filter(({ state }) => ['planned', 'uploaded', 'creating', 'waiting'].includes(state));
  }

  /** Chunks of which a batch may exist although its creation was not answered. */
  get unanswered(): Chunk[] {
    return this.#chunks.filter(({ state }) => state === 'creating');
  }

  /** Chunks whose rows must not be sent again, since a batch may answer them or has done so out of reach. */
  get holding(): Chunk[] {
    return this.#chunks.filter(holdsRows);
  }

  /** Chunks that nothing more is known of until their batch is looked at again or given up. */
  get outstanding(): Chunk[] {
    return this.#chunks.filter(isOutstanding);
  }

  /** Every batch that is known. */
  get batches(): Batch[] {
    const current = this.#chunks.flatMap(({ batch }) => (batch === null ? [] : [batch]));
    return [...this.#superseded, ...current].sort((a, b) => a.createdAt - b.createdAt);
  }

  get nextNumber(): number {
    return this.#chunks.reduce((highest, { number }) => Math.max(highest, number), -1) + 1;
  }

  /**
   * Notes what happened to a chunk. Nothing else changes one.
   * @returns the chunk's state afterwards
   * @throws Error where that cannot happen in its state
   */
  change(chunk: Chunk, event: ChunkEvent): ChunkState {
    const own = this.#own(chunk);
    if (event.kind === 'halved' || event.kind === 'waits') this.#supersede(own);
    Object.assign(own, transition(own, event));
    if (event.kind === 'waits') own.batch = null;
    return own.state;
  }

  /** The same, and on disk when the promise is fulfilled. */
  async apply(chunk: Chunk, event: ChunkEvent): Promise<ChunkState> {
    const state = this.change(chunk, event);
    await this.save();
    return state;
  }

  /** A batch that the queue refused stays on the list of the run's batches. */
  #supersede(chunk: Chunk): void {
    if (chunk.batch !== null) this.#superseded.push(chunk.batch);
  }

  #own(chunk: Chunk): Writable<Chunk> {
    const own = this.#chunks.find((one) => one === chunk);
    if (own === undefined) throw new Error('a chunk of another ledger');
    return own;
  }

  add(chunks: readonly Chunk[]): void {
    this.#chunks.push(...chunks);
  }

  /** Notes the input file of a batch that was not submitted from here. */
  describeInput(chunk: Chunk, input: Pick<Chunk, 'file' | 'requests' | 'bytes'>): void {
    Object.assign(this.#own(chunk), input);
  }

  /** Batches that were submitted again under another id. */
  supersede(batches: readonly Batch[]): void {
    this.#superseded.push(...batches);
  }

  /** A batch of ours ended, so those that wait for room may try. */
  noteRoom(now: number): void {
    for (const chunk of this.#chunks) {
      if (chunk.state === 'waiting' && chunk.tryAgainAt === null) chunk.tryAgainAt = now;
    }
  }

  noteQueueLimit(limit: number | null): void {
    this.#queueLimit = limit ?? this.#queueLimit;
  }

  /** Parameters that the API does not take are changed in the chunks to come. */
  learn(changes: readonly ParameterChange[]): void {
    for (const change of changes) {
      if (!this.#learnt.some(({ parameter }) => parameter === change.parameter)) this.#learnt.push(change);
    }
  }

  /** Forgets chunks of which no batch exists: their rows are free again. */
  forget(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) {
      // Whether a batch exists is not known: forgetting it would pay twice.
      if (chunk.state === 'creating') continue;
      this.#chunks.splice(this.#chunks.indexOf(this.#own(chunk)), 1);
    }
  }

  /** Tokens billed at the batch price, those of them that were wasted, and requests that were worked on. */
  totals(): { usage: Usage; wasted: Usage; processed: number; answers: number } {
    const collected = this.#chunks.flatMap((chunk) => (chunk.collected === null ? [] : [chunk.collected]));
    return {
      usage: collected.reduce((sum, one) => addUsage(sum, one.usage), NO_USAGE),
      wasted: collected.reduce((sum, one) => addUsage(sum, one.wasted), NO_USAGE),
      processed: collected.reduce((sum, one) => sum + one.processed, 0),
      answers: collected.reduce((sum, one) => sum + one.answers, 0),
    };
  }

  /** Where a chunk's file is. */
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
    const { batches, queueLimit, learnt } = this;
    const [chunks, superseded] = [this.#chunks, this.#superseded];
    await replaceFile(this.folder.batches, (file) => {
      const value = {
        version: 2,
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
    await writeBatchObjects(this.folder, batches);
  }
}

/** Writes `batch_objects.json`: batches as their API has them. */
export async function writeBatchObjects(
  folder: Pick<RunFolder, 'batchObjects'>,
  batches: readonly Batch[],
): Promise<void> {
  const raw = batches.map((batch) => batch.raw);
  await replaceFile(folder.batchObjects, (file) => {
    file.write(`${JSON.stringify(raw, null, 2)}\n`);
  });
}

/** A chunk of `batches.json`; fields that an earlier version did not have get their defaults. Null where it is none. */
function readChunk(value: unknown): Writable<Chunk> | null {
  if (!isObject(value)) return null;
  const { number, file, requests, bytes, tokens, state, batch } = value;
  const sizes = { requests: Number(requests), bytes: Number(bytes), tokens: Number(tokens) };
  if (typeof number !== 'number' || !Object.values(sizes).every(Number.isFinite)) return null;
  if (!CHUNK_STATES.includes(state as ChunkState)) return null;
  const chunk = {
    ...newChunk(number, typeof file === 'string' ? file : null, sizes),
    ...(value as Partial<Chunk>),
    batch: readBatch(isObject(batch) ? batch['raw'] : null),
    collected: restoreCollected((value as Partial<Chunk>).collected ?? null),
  };
  // A batch whose object was damaged must not be taken for one that never was.
  return isObject(batch) && chunk.batch === null ? null : chunk;
}

/** What a collected batch came to; earlier versions wrote less of it. */
function restoreCollected(collected: Partial<Collected> | null): Collected | null {
  if (collected === null) return null;
  const { at = 0, processed = 0, answers = 0, accounted = null, said = null, usage, wasted } = collected;
  return {
    ...{ at, processed, answers, accounted, said },
    usage: restoreUsage(usage ?? NO_USAGE),
    wasted: restoreUsage(wasted ?? NO_USAGE),
  };
}

/**
 * What an earlier version called `collected` may also be a batch that one 404 made "gone", or one whose files came
 * late: its rows are held until `watch-batch` has looked at it again, which costs nothing.
 */
function fromVersion1(chunk: Writable<Chunk>): Writable<Chunk> {
  if (chunk.state !== 'collected') return chunk;
  if (chunk.batch === null || isQueueRefusal(chunk.batch)) return { ...chunk, state: 'too_large' };
  if (chunk.collected === null) return { ...chunk, state: 'submitted' };
  return { ...chunk, state: 'short' };
}
