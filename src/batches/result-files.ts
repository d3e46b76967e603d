/**
 * The result files of a batch on this disk: downloaded, checked, and downloaded again where they are not (yet) what
 * they should be. A page, an error object or an empty answer is never kept in place of a file.
 */

import { existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { RunFolder } from '../run/folder.js';
import type { Redactor } from '../secrets/redactor.js';
import { sanitize, plural } from '../lib/text.js';
import type { Reporter } from '../types.js';
import { idDigest, type Batch } from './batch.js';
import type { Waiting } from './calls.js';
import type { Chunk } from './chunk.js';
import type { BatchApi } from './apis/batch-api.js';
import type { FileState } from './delivery.js';
import { cleanLines } from './clean-lines.js';
import type { FileBounds } from './apis/batch-api.js';
import { download, type DownloadParts } from './download.js';
import { FileTooLarge } from './result-file.js';

export type ResultKind = 'output' | 'error';

/** Lines of a result file by what they are. */
export interface FileCheck {
  /** Of rows that were asked. */
  known: number;
  /** Of other rows. */
  foreign: number;
  /** That cannot be read. */
  damaged: number;
}

/** One of the two files. */
export interface ResultFile {
  state: FileState;
  /** Null where there is none that can be read. */
  path: string | null;
  check: FileCheck | null;
}

export type ResultFiles = Record<ResultKind, ResultFile>;

/** What fetching needs. */
export interface FetchParts {
  folder: RunFolder;
  client: Pick<BatchApi, 'download'>;
  waiting: Waiting;
  reporter: Reporter;
  redactor: Redactor;
}

/** Earlier versions named files after ids, which were short and plain then. */
const PLAIN_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/;
/** How a download that is compared with an earlier one is named. */
const AGAIN_SUFFIX = '.again';

/** Where a file of a batch is kept; null where the batch names none. Nothing of an id is in the name. */
export function resultPath(folder: RunFolder, batch: Batch, kind: ResultKind | 'input'): string | null {
  const id = { output: batch.outputFileId, error: batch.errorFileId, input: batch.inputFileId }[kind];
  return id === null ? null : join(folder.downloads, `batch-${idDigest(batch.id, id)}_${kind}.jsonl`);
}

/** Result lines of a checked file, whether they can be read or not. */
export function lineCount(check: FileCheck | null): number {
  return check === null ? 0 : check.known + check.foreign + check.damaged;
}

/** An ended batch, and what its files may hold. */
export interface EndedBatch {
  chunk: Chunk;
  batch: Batch;
  bounds: FileBounds;
  /** Counts the lines of a file. */
  check: (path: string, kind: ResultKind) => Promise<FileCheck>;
}

/**
 * Brings both files of an ended batch here, as far as they can be had.
 * @throws CallFailed where the API cannot be reached
 */
export async function fetchResults(ended: EndedBatch, parts: FetchParts): Promise<ResultFiles> {
  const fetching = new Fetching(ended, parts);
  return { output: await fetching.fetch('output'), error: await fetching.fetch('error') };
}

class Fetching {
  readonly #downloading: DownloadParts;

  constructor(
    private readonly ended: EndedBatch,
    private readonly parts: FetchParts,
  ) {
    this.#downloading = { ...parts, bounds: ended.bounds };
  }

  async fetch(kind: ResultKind): Promise<ResultFile> {
    const { parts } = this;
    const { batch } = this.ended;
    const fileId = kind === 'output' ? batch.outputFileId : batch.errorFileId;
    const path = resultPath(parts.folder, batch, kind);
    if (fileId === null || path === null) return { state: 'unnamed', path: null, check: null };
    this.#takeOver(kind, path);
    try {
      const wasThere = existsSync(path);
      const file = await this.#download(fileId, path, kind);
      if (file.path === null || !this.#isWorthAnother(file, wasThere)) return file;
      return await this.#downloadAgain(fileId, { ...file, path: file.path }, kind);
    } catch (error) {
      if (!(error instanceof FileTooLarge)) throw error;
      return { state: 'too_large', path: null, check: null };
    }
  }

  /**
   * A damaged file is downloaded a second time. Where something is missing, one that is here is downloaded again after
   * 1, 2, 4, 8 … looks, since it may be large.
   */
  #isWorthAnother({ check }: ResultFile, wasThere: boolean): boolean {
    const { doubt } = this.ended.chunk;
    const isDamaged = (check?.damaged ?? 0) > 0;
    if (!wasThere || doubt === null) return isDamaged;
    return doubt.kind === 'undelivered' && (doubt.times & (doubt.times - 1)) === 0;
  }

  /** A file that an earlier version downloaded. */
  #takeOver(kind: ResultKind, path: string): void {
    const { id } = this.ended.batch;
    const earlier = join(this.parts.folder.downloads, `${id}_${kind}.jsonl`);
    if (PLAIN_ID.test(id) && !existsSync(path) && existsSync(earlier)) renameSync(earlier, path);
  }

  async #download(fileId: string, path: string, kind: ResultKind): Promise<ResultFile> {
    const wasThere = existsSync(path);
    if (!(await download(fileId, path, this.#downloading)))
      return { state: 'missing', path: null, check: null };
    // An earlier start, or an earlier version, may not have known of all secrets.
    if (wasThere) {
      const { redactor, waiting } = this.parts;
      await cleanLines(path, redactor, this.#downloading.bounds.line, waiting.signal);
    }
    const check = await this.ended.check(path, kind);
    if (lineCount(check) > 0 && !this.#isOthers(check)) return { state: 'read', path, check };
    const state = statSync(path).size < 4 ? 'empty' : 'foreign';
    rmSync(path);
    // It is none of this start's: an earlier version kept whatever came.
    return wasThere ? this.#download(fileId, path, kind) : { state, path: null, check: null };
  }

  /** True for the file of another batch: what this run submitted is known, and none of the lines answers it. */
  #isOthers({ known, foreign, damaged }: FileCheck): boolean {
    const { isAdopted, file } = this.ended.chunk;
    return !isAdopted && file !== null && foreign > 0 && known + damaged === 0;
  }

  /** Downloads a file that is there a second time; the better of the two is kept. */
  async #downloadAgain(
    fileId: string,
    first: ResultFile & { path: string },
    kind: ResultKind,
  ): Promise<ResultFile> {
    const { path } = first;
    const again = `${path}${AGAIN_SUFFIX}`;
    rmSync(again, { force: true });
    const second = await this.#download(fileId, again, kind);
    if (second.path !== null && goodLines(second.check) >= goodLines(first.check)) {
      renameSync(again, path);
      this.#tellDamage(second.check, path);
      return { ...second, path };
    }
    rmSync(again, { force: true });
    this.#tellDamage(first.check, path);
    return first;
  }

  #tellDamage(check: FileCheck | null, path: string): void {
    const damaged = check?.damaged ?? 0;
    if (damaged === 0 || this.ended.chunk.doubt !== null) return;
    this.parts.reporter.warning(
      `${plural(damaged, 'line')} of ${sanitize(path, 300)} can't be read, even after a second download; their rows stay pending.`,
    );
  }
}

function goodLines(check: FileCheck | null): number {
  return check === null ? 0 : check.known + check.foreign;
}
